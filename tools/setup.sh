#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Finds out what this machine lacks to build Freehold (run) or to test it as well (check), says so,
# and installs it where that is Debian's apt-get to do. Silent and quick when nothing is missing.
#
#	tools/setup.sh run|check
#
# To ask for more: a line `command`, `header` or `file` in the function of the profile below.
set -eu

packages=	# Debian's names of what is missing
words=		# the same for people, one a line

miss() { # PACKAGE WORDS
	case " $packages " in
	*" $1 "*) ;;
	*)
		packages="$packages $1"
		words="$words    $2
"
		;;
	esac
}

command_() { # COMMAND PACKAGE WORDS
	command -v "$1" >/dev/null 2>&1 || miss "$2" "$3 ($1)"
}

# Headers are looked up together, in one run of the preprocessor.
headers=
header() { # HEADER PACKAGE WORDS
	headers="$headers#if !__has_include(<$1>)
missing:$2:$3 (<$1>)
#endif
"
}

look_up_headers() {
	cc=gcc
	command -v gcc >/dev/null 2>&1 || cc=clang
	if command -v "$cc" >/dev/null 2>&1; then
		lines=$(printf '%s' "$headers" | "$cc" -E -P -x c - 2>/dev/null) || lines=
	else
		lines=$headers
	fi
	ifs=$IFS
	IFS='
'
	for line in $lines; do
		case $line in
		missing:*)
			line=${line#missing:}
			miss "${line%%:*}" "${line#*:}"
			;;
		esac
	done
	IFS=$ifs
}

profile_run() {
	command_ gcc gcc "a C compiler"
	command_ make make "the front door of the build"
	command_ meson meson "the build system Meson"
	command_ ninja ninja-build "the build tool Ninja"
	command_ pkg-config pkgconf "pkg-config"
	command_ cpio cpio "the archiver cpio"
	[ -r /usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin ] ||
		miss opensbi "the firmware OpenSBI"
	header stdio.h libc6-dev "the C library's headers"
	header urcu-bp.h liburcu-dev "liburcu, read-copy-update"
	header jansson.h libjansson-dev "jansson, JSON"
	header libfdt.h libfdt-dev "libfdt, device trees"
	header uv.h libuv1-dev "libuv, the event loop"
}

profile_check() {
	profile_run
	command_ clang clang "a second C compiler"
	command_ doxygen doxygen "the documentation tool Doxygen"
	command_ dtc device-tree-compiler "the compiler of device trees"
	command_ flock util-linux "file locks for scripts"
	command_ g++ g++ "a C++ compiler"
	command_ git git "git"
	command_ llvm-symbolizer llvm "the names in the reports of clang's sanitizers"
	command_ nm binutils "the binary utilities"
	command_ python3 python3 "Python"
	command_ valgrind valgrind "the memory checker Valgrind"
	command_ xz xz-utils "the packer xz"
	header cmocka.h libcmocka-dev "cmocka, unit tests"
	if command -v clang >/dev/null 2>&1; then
		set -- "$(clang -print-resource-dir)"/lib/*/libclang_rt.tsan*
		[ -e "$1" ] || miss libclang-rt-dev "clang's sanitizers (libclang_rt.tsan)"
	else
		miss libclang-rt-dev "clang's sanitizers (libclang_rt.tsan)"
	fi

	# Guests, and the oracle of their instructions.
	command_ riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu "a C compiler for RISC-V"
	command_ qemu-riscv64 qemu-user "QEMU's user mode for RISC-V"
	[ -e /usr/riscv64-linux-gnu/include/stdio.h ] ||
		miss libc6-dev-riscv64-cross "the C library for RISC-V"

	# The other architecture; on an aarch64 machine there is none.
	[ "$(uname -m)" = x86_64 ] || return 0
	command_ aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu "a C compiler for aarch64"
	command_ qemu-aarch64 qemu-user "QEMU's user mode for aarch64"
	[ -e /usr/aarch64-linux-gnu/include/stdio.h ] ||
		miss libc6-dev-arm64-cross "the C library for aarch64"
}

find_missing() {
	packages=
	words=
	headers=
	"profile_$profile"
	look_up_headers
	packages=${packages# }
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# True if root's rights can be had; sudo may ask for a password where somebody can answer.
can_install() {
	[ "$(id -u)" = 0 ] && return 0
	command -v sudo >/dev/null 2>&1 || return 1
	sudo -n true 2>/dev/null && return 0
	[ -t 0 ] && [ -t 2 ] && sudo -v
}

is_debian() {
	command -v apt-get >/dev/null 2>&1 && [ -r /etc/os-release ] &&
		grep -q '^ID="\{0,1\}debian"\{0,1\}$' /etc/os-release
}

profile=${1:-}
case $profile in
run | check) ;;
*)
	echo "usage: tools/setup.sh run|check" >&2
	exit 2
	;;
esac

find_missing
[ -n "$packages" ] || exit 0

printf 'Freehold needs what this machine lacks:\n%s' "$words" >&2
if ! is_debian; then
	echo "Install these with this system's package manager, then try again." >&2
	echo "(On Debian they are: $packages)" >&2
	exit 1
fi
if ! can_install; then
	echo "Installing takes root. Have this run, then try again:" >&2
	echo "    apt-get update && apt-get install --no-install-recommends $packages" >&2
	exit 1
fi

echo "Installing with apt-get: $packages" >&2
# Names are split at spaces on purpose. An outdated list is no failure yet, the install tells.
# shellcheck disable=SC2086
if ! { as_root apt-get -q -o DPkg::Lock::Timeout=300 update >&2 ||
	echo "apt-get update failed; trying with the lists at hand." >&2
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends $packages >&2; }; then
	echo "That failed (see above). What is missing: $packages" >&2
	echo "Without network nothing can be installed. The command was:" >&2
	echo "    apt-get install --no-install-recommends $packages" >&2
	exit 1
fi

find_missing
[ -z "$packages" ] || {
	printf 'Still missing after the installation:\n%s' "$words" >&2
	exit 1
}
