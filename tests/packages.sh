# SPDX-License-Identifier: MIT
# Sourced by tests/run.sh and examples/run.sh: the packages that they need, by
# the names that the package managers use. Nothing is touched as long as nothing
# is missing.

# Whether one thing is there. What cannot be found on PATH is tried out.
packages_have()
{
	case $1 in
	cc) command -v gcc && echo '#include <stdio.h>' |
		gcc -fsyntax-only -x c - ;;
	g++) command -v g++ && echo '#include <cstddef>' |
		g++ -fsyntax-only -x c++ - ;;
	cmocka | libpng | nettle) pkg-config --exists "$1" ;;
	msgpack) pkg-config --exists msgpack-c || pkg-config --exists msgpack ;;
	lld) command -v ld.lld ;;
	libev) echo '#include <ev.h>' | gcc -fsyntax-only -x c - ;;
	sanitizers) for kind in address,undefined thread; do
			echo 'int main(void) { return 0; }' | gcc \
				-fsanitize=$kind -x c -o /dev/null - ||
				return 1
		done ;;
	*) command -v "$1" ;;
	esac > /dev/null 2>&1
}

# The package that brings one thing: packages_name MANAGER THING
packages_name()
{
	case $1:$2 in
	apt:cc) echo gcc libc6-dev ;;
	dnf:cc) echo gcc glibc-devel ;;
	apk:cc) echo gcc musl-dev linux-headers ;;
	pacman:cc) echo gcc ;;
	dnf:g++) echo gcc-c++ ;;
	pacman:g++) echo gcc ;;
	apt:ninja | dnf:ninja) echo ninja-build ;;
	apk:ninja) echo samurai ;;
	dnf:pkg-config) echo pkgconf-pkg-config ;;
	apk:pkg-config | pacman:pkg-config) echo pkgconf ;;
	pacman:python3) echo python ;;
	apt:cmocka) echo libcmocka-dev ;;
	dnf:cmocka) echo libcmocka-devel ;;
	apk:cmocka) echo cmocka-dev ;;
	apt:nettle | apk:nettle) echo nettle-dev ;;
	dnf:nettle) echo nettle-devel ;;
	apt:msgpack) echo libmsgpack-dev ;;
	dnf:msgpack) echo msgpack-devel ;;
	apk:msgpack | pacman:msgpack) echo msgpack-c ;;
	apt:libev | apk:libev) echo libev-dev ;;
	dnf:libev) echo libev-devel ;;
	apt:libpng | apk:libpng) echo libpng-dev ;;
	dnf:libpng) echo libpng-devel ;;
	*:nm) echo binutils ;;
	dnf:sanitizers) echo libasan libubsan libtsan ;;
	*:sanitizers) echo gcc ;;
	*) echo "$2" ;;
	esac
}

# All packages of one manager for the things given, each once, in one line.
packages_names()
{
	manager=$1
	shift
	for thing; do
		packages_name "$manager" "$thing"
	done | tr ' ' '\n' | sort -u | tr '\n' ' ' | sed 's/ $//'
}

packages_missing()
{
	for thing; do
		packages_have "$thing" || echo "$thing"
	done
}

# packages_need THING... - return when all are there, otherwise exit 2.
packages_need()
{
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0

	sudo=
	[ "$(id -u)" -eq 0 ] || sudo='sudo -n'
	if command -v apt-get > /dev/null && $sudo true 2> /dev/null; then
		names=$(packages_names apt $missing)
		echo "installing $names"
		$sudo apt-get update -qq > /dev/null
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq \
			--no-install-recommends $names > /dev/null
		missing=$(packages_missing "$@")
		[ -n "$missing" ] || return 0
	fi

	{
		echo "Missing:" $missing
		echo "Please install, with your system's package manager:"
		echo "  apt-get install $(packages_names apt "$@")"
		echo "  dnf install $(packages_names dnf "$@")"
		echo "  apk add $(packages_names apk "$@")"
		echo "  pacman -S $(packages_names pacman "$@")"
	} >&2
	exit 2
}
