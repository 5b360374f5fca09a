#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetches Debian packages of any architecture and suite, without installing them, and prints the
# directory that holds their unpacked files.
#
#	tools/fetch-deb.sh [--refresh] ARCHITECTURE SUITE PACKAGE...
#	tools/fetch-deb.sh riscv64 trixie linux-image-riscv64 busybox-static
#
# The mirror is the one in this machine's apt configuration, or $FREEHOLD_MIRROR; the lists that it
# sends must be signed with a key of Debian's keyring, and apt checks every package against them.
# What was fetched stays in ${XDG_CACHE_HOME:-$HOME/.cache}/freehold and is not fetched again, nor
# is anything asked of the network, before --refresh or until a package has gone from the mirror.
#
# Dependencies are left out, but for those on one exact version: these are parts of the same whole.
# So linux-image-riscv64 brings the real kernel package, and liburcu-dev the library itself.
#
# Exit status 3 says that the packages cannot be had from here: no network, or no Debian's tools.
set -eu

fail() {
	printf 'fetch-deb: %s\n' "$*" >&2
	exit 1
}

cannot_be_had() {
	printf 'fetch-deb: %s\n' "$*" >&2
	exit 3
}

refresh=no
if [ "${1:-}" = --refresh ]; then
	refresh=yes
	shift
fi
[ $# -ge 3 ] || {
	echo "usage: tools/fetch-deb.sh [--refresh] ARCHITECTURE SUITE PACKAGE..." >&2
	exit 2
}
arch=$1
suite=$2
shift 2
wanted=$*

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/build/deb/$suite-$arch/$(echo "$wanted" | tr ' ' +)
if [ $refresh = no ] && [ -e "$out/.complete" ]; then
	echo "$out"
	exit 0
fi

for tool in apt-get apt-cache dpkg-deb flock; do
	command -v $tool >/dev/null 2>&1 ||
		cannot_be_had "no $tool here: get $wanted ($arch, Debian $suite) by other means"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r $keyring ] || cannot_be_had "no $keyring: install the package debian-archive-keyring"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/freehold/$suite-$arch
mkdir -p "$cache/lists/partial" "$cache/apt/archives/partial" "$cache/debs" "$cache/none" \
	"$root/build/deb"

# One at a time: two would write the same files. Who waited may find it done, and in use.
exec 9>"$cache/lock"
flock 9
if [ $refresh = no ] && [ -e "$out/.complete" ]; then
	echo "$out"
	exit 0
fi

# The first of the machine's own sources that is Debian itself, before any of another origin.
find_mirror() {
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)/$(LABEL)' \
		'Created-By: Packages' 2>/dev/null |
		awk -v codename="$codename" '
			$3 != "main" { next }
			$4 == "Debian/Debian" && !sure { sure = $1 }
			$2 == codename && !maybe { maybe = $1 }
			END { print sure ? sure : maybe }'
}

configure_apt() {
	mirror=${FREEHOLD_MIRROR:-$(find_mirror)}
	[ -n "$mirror" ] ||
		cannot_be_had "apt knows no Debian mirror here: set FREEHOLD_MIRROR to the URL of one"
	echo "deb [signed-by=$keyring] $mirror $suite main" >"$cache/sources.list"
	: >"$cache/status"
	cat >"$cache/apt.conf" <<-EOF
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear APT::Architectures;
		#clear APT::Default-Release;
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Sandbox::User "$(id -un)";
		Acquire::Languages "none";
		Dir::Cache "$cache/apt/";
		Dir::Cache::pkgcache "pkgcache.bin";
		Dir::Cache::srcpkgcache "srcpkgcache.bin";
		Dir::Etc::preferences "$cache/none/preferences";
		Dir::Etc::preferencesparts "$cache/none/";
		Dir::Etc::sourcelist "$cache/sources.list";
		Dir::Etc::sourceparts "$cache/none/";
		Dir::State "$cache/";
		Dir::State::lists "$cache/lists/";
		Dir::State::status "$cache/status";
	EOF
}

# Reads apt's status lines, draws a bar and returns the status that the last line tells.
draw_progress() { # WORDS
	status=1
	while IFS=: read -r kind value percent rest; do
		case $kind in
		exit) status=$value ;;
		dlstatus)
			percent=${percent%%.*}
			bar=$(printf '%*s' $((percent * 30 / 100)) '' | tr ' ' '#')
			printf '\r%s [%-30s] %3d %% ' "$1" "$bar" "$percent" >&2
			;;
		esac
	done
	[ "$status" = 0 ] && printf '\r%s [%s] 100 %% \n' "$1" "##############################" >&2
	[ "$status" = 0 ] || printf '\n' >&2
	return "$status"
}

apt() { # WORDS ARGUMENTS...
	say=$1
	shift
	if [ -t 2 ]; then
		{
			status=0
			apt-get -c "$cache/apt.conf" -q -o APT::Status-Fd=3 "$@" \
				3>&1 >"$cache/log" 2>&1 || status=$?
			echo "exit:$status"
		} | draw_progress "$say"
	else
		printf '%s ...\n' "$say" >&2
		apt-get -c "$cache/apt.conf" -q "$@" >"$cache/log" 2>&1
	fi
}

no_network() {
	sed 's/^/    /' "$cache/log" | grep -E '[EW]: ' | head -n 5 >&2
	cannot_be_had "cannot fetch $wanted (architecture $arch, Debian $suite) from $mirror." \
		"Is there a network?"
}

update() {
	apt "Package lists of $suite for $arch" update || no_network
	# apt-get update calls a mirror that does not answer a warning.
	grep -q '^W: Failed to fetch\|^Err:' "$cache/log" && no_network
	touch "$cache/updated"
}

# Sets `names` to what is wanted and the parts that belong to it; false if one is not known.
resolve() {
	names=
	queue=$wanted
	while [ -n "$queue" ]; do
		name=${queue%% *}
		queue=${queue#"$name"}
		queue=${queue# }
		case " $names " in *" $name "*) continue ;; esac
		record=$(apt-cache -c "$cache/apt.conf" show --no-all-versions "$name" 2>/dev/null) ||
			record=
		[ -n "$record" ] || {
			unknown=$name
			return 1
		}
		names="${names:+$names }$name"
		parts=$(echo "$record" | sed -n 's/^Depends: //p' | tr ',' '\n' |
			sed -n 's/^ *\([^ |(:]*\)[^ |(]* (= [^)]*) *$/\1/p' | tr '\n' ' ')
		queue="${queue:+$queue }${parts% }"
		queue=${queue% }
	done
}

# Sets `files` to the .deb files and `lacking` to the packages whose file is not there or damaged.
look_in_cache() {
	files=
	lacking=
	# Lines of 'URI' FILE SIZE ALGORITHM:HASH
	# shellcheck disable=SC2086
	apt-get -c "$cache/apt.conf" download --print-uris $names >"$cache/uris" 2>"$cache/log" ||
		no_network
	while read -r _ file _ sum; do
		files="${files:+$files }$file"
		echo "${sum#SHA256:}  $cache/debs/$file" | sha256sum --check --status 2>/dev/null ||
			lacking="${lacking:+$lacking }${file%%_*}"
	done <"$cache/uris"
}

fetch() {
	resolve || return 1
	look_in_cache
	[ -z "$lacking" ] && return 0
	for name in $lacking; do
		rm -f "$cache/debs/${name}_"*.deb
	done
	# shellcheck disable=SC2086
	(cd "$cache/debs" && apt "Fetching $lacking" download $lacking) || return 1
	look_in_cache
	[ -z "$lacking" ]
}

configure_apt
fresh=no
if [ $refresh = yes ] || [ ! -e "$cache/updated" ]; then
	update
	fresh=yes
fi
unknown=
if ! fetch; then
	# The lists may be older than what the mirror holds by now.
	[ $fresh = yes ] || update
	unknown=
	if ! fetch; then
		[ -z "$unknown" ] || fail "Debian $suite has no package $unknown for $arch"
		no_network
	fi
fi

rm -rf "$out.new"
mkdir -p "$out.new"
for file in $files; do
	dpkg-deb -x "$cache/debs/$file" "$out.new" || fail "$cache/debs/$file does not unpack"
done
touch "$out.new/.complete"
rm -rf "$out"
mv "$out.new" "$out"
echo "$out"
