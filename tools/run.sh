#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Boots Debian's riscv64 kernel to a busybox shell on the machine.
#
#	tools/run.sh [OPTION OF THE MACHINE]...
#
# Kernel and busybox come from Debian's mirror (tools/fetch-deb.sh) and stay in its cache. When
# standard input is no terminal there is no shell but a short tour of the guest, and the exit status
# is 0 only if all of it was seen. $FREEHOLD names another program than build/main's.
set -eu

fail() {
	printf 'run: %s\n' "$*" >&2
	exit 1
}

root=$(cd "$(dirname "$0")/.." && pwd)
freehold=${FREEHOLD:-$root/build/main/src/freehold}
[ -x "$freehold" ] || fail "no $freehold: 'make build' makes it"
command -v cpio >/dev/null 2>&1 || fail "no cpio here: apt-get install cpio"

files=$("$root/tools/fetch-deb.sh" riscv64 trixie linux-image-riscv64 busybox-static) ||
	exit 1
kernel=
for file in "$files"/boot/vmlinu[xz]-*; do
	kernel=$file
done
[ -r "$kernel" ] || fail "no kernel in $files/boot"
busybox=$files/usr/bin/busybox
[ -x "$busybox" ] || busybox=$files/bin/busybox
[ -x "$busybox" ] || fail "no busybox in $files"

work=$(mktemp -d "${TMPDIR:-/tmp}/freehold-run.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The guest's own files ------------------------------------------------------------------------

mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/tmp"
cp "$busybox" "$work/root/bin/busybox"

cat >"$work/root/init" <<'EOF'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1

say() {
	echo "=== $*"
}

tour() {
	say "kernel"
	uname -srm
	say "/proc/iomem"
	cat /proc/iomem
	say "/proc/interrupts"
	cat /proc/interrupts
	say "memory"
	# A file of half of what is free, all of it different, read back twice.
	size=$(awk '/^MemFree/ { print int($2 / 2048) }' /proc/meminfo)
	[ "$size" -le 64 ] || size=64
	mount -t tmpfs -o size=100% tmp /tmp
	dd if=/dev/urandom of=/tmp/a bs=1M count="$size" 2>/dev/null
	cp /tmp/a /tmp/b
	first=$(md5sum </tmp/a)
	second=$(md5sum </tmp/b)
	if [ -n "$first" ] && [ "$first" = "$second" ] && cmp /tmp/a /tmp/b; then
		say "memory holds $size MiB"
	fi
	say "the end"
}

case $(cat /proc/cmdline) in
*freehold.tour*) tour ;;
*)
	echo
	echo "This is Debian's kernel on Freehold. To leave: 'poweroff -f' here, or Ctrl-A x."
	echo
	setsid cttyhack sh
	;;
esac
poweroff -f
EOF
chmod +x "$work/root/init"
(cd "$work/root" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0) \
	>"$work/initrd"

# --- The machine ----------------------------------------------------------------------------------

append='console=ttyS0 quiet'
if [ -t 0 ]; then
	"$freehold" -m 512M -nographic -kernel "$kernel" -initrd "$work/initrd" -append "$append" "$@"
	exit
fi

# What is printed is shown as it comes and looked at afterwards; a guest that hangs is ended.
limit=${FREEHOLD_RUN_TIMEOUT:-300}
status=0
{
	s=0
	timeout "$limit" "$freehold" -m 512M -nographic -kernel "$kernel" \
		-initrd "$work/initrd" -append "$append freehold.tour" "$@" </dev/null || s=$?
	echo "$s" >"$work/status"
} | tee "$work/seen"
status=$(cat "$work/status")
[ "$status" != 124 ] || fail "the guest did not end within $limit seconds"
[ "$status" = 0 ] || fail "the machine ended with status $status"

tr -d '\r' <"$work/seen" >"$work/lines"
see() { # PATTERN WORDS
	grep -q -E "$1" "$work/lines" || fail "the tour did not show $2"
}
see '^Linux [0-9.]+.* riscv64$' 'the version of the kernel'
see '^80[0-9a-f]{6}-[0-9a-f]{8} : System RAM' 'RAM in /proc/iomem'
see '^ *10000000-100000ff : serial' 'the serial port in /proc/iomem'
see '^ *[0-9]+: .*(PLIC|plic)' 'a line of the PLIC in /proc/interrupts'
see '^=== memory holds [1-9][0-9]* MiB$' 'memory that holds what is written'
see '^=== the end$' 'its end'
echo 'run: all of the tour was seen'
