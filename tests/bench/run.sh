#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh [--quick] [--no-install] [--build DIR] [--output DIR] [NAME...] - run
# the benchmarks and write a report.
#
#   --quick       few rounds and few sizes, to see that all of it works
#   --no-install  install nothing: peers that are not there are left out
#   --build DIR   take the programs from this build, as they are
#   --output DIR  write here, not to bench-report/
#
# A NAME that is a benchmark (bench_NAME.c) restricts the run to it. Any other is
# a part of a contender's name in bench_messages, takes that in and restricts it.
#
# docs/benchmarks.md tells how to read the report.

cd "$(dirname "$0")/../.." || exit 1

usage()
{
	sed -n '3,4s/^# //p' "$0" >&2
	exit 2
}

quick=
install=yes
build=
output=bench-report
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=--quick ;;
	--no-install) install= ;;
	--build | --output)
		[ $# -gt 1 ] || usage
		[ "$1" = --build ] && build=$2 || output=$2
		shift
		;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done

# The parameters that are left in the end are contenders.
benchmarks=
names=$#
while [ $names -gt 0 ]; do
	if [ -f "tests/bench/bench_$1.c" ]; then
		benchmarks="$benchmarks $1"
	else
		set -- "$@" "$1"
	fi
	shift
	names=$((names - 1))
done
if [ $# -gt 0 ]; then
	benchmarks="$(echo "$benchmarks" | sed 's/ messages\>//g') messages"
elif [ -z "$benchmarks" ]; then
	benchmarks=$(ls tests/bench/bench_*.c | sed 's/.*bench_\(.*\)\.c/\1/')
fi

# What peers and plots come from, by Debian's names.
peers='gnuplot-nox python3 redis-server libboost-dev libzmq3-dev libnng-dev
	libqb-dev libck-dev libconcurrentqueue-dev libreaderwriterqueue-dev
	libglib2.0-dev openmpi-bin libopenmpi-dev'

is_installed()
{
	dpkg-query -W -f '${Status}' "$1" 2> /dev/null |
		grep -q ' ok installed$'
}

missing_peers()
{
	for peer in $peers; do
		is_installed "$peer" || echo "$peer"
	done
}

# One by one, so that one that cannot be had keeps none of the others away.
install_peers()
{
	sudo=
	[ "$(id -u)" -eq 0 ] || sudo='sudo -n'
	[ -n "$(missing_peers)" ] && command -v apt-get > /dev/null &&
		$sudo true 2> /dev/null || return 0
	$sudo apt-get update -qq > /dev/null
	for peer in $(missing_peers); do
		echo "installing $peer"
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq \
			--no-install-recommends "$peer" > /dev/null
	done
}

if [ -z "$build" ]; then
	. tests/packages.sh
	packages_need cc g++ meson ninja pkg-config python3 cmocka nettle \
		msgpack
fi
if command -v dpkg-query > /dev/null; then
	[ -z "$install" ] || install_peers
	for peer in $(missing_peers); do
		echo "left out, as it is not installed: $peer"
	done
fi

if [ -z "$build" ]; then
	build=build/bench-report
	mkdir -p build || exit 1
	options='-Dbuildtype=release -Dtests=enabled -Dexamples=disabled'
	if [ -f $build/build.ninja ]; then
		meson setup --reconfigure $options $build
	else
		meson setup $options $build
	fi > build/bench-report.log || exit 1
	ninja -C $build $(printf ' tests/bench/bench_%s' $benchmarks) \
		>> build/bench-report.log || {
		tail -n 20 build/bench-report.log >&2
		exit 1
	}
fi

mkdir -p "$output" || exit 1
BENCH_ROWS=$(cd "$output" && pwd)/rows.jsonl
export BENCH_ROWS
: > "$BENCH_ROWS"
python3 -B tests/bench/report.py machine $peers > "$output/before.json" || exit 1

run()
{
	timeout -k 5 3600 "$build/tests/bench/bench_$name" "$@" \
		> "$output/$name.txt" 2>&1
}

# With as many rounds as make it last what docs/benchmarks.md says.
run_one()
{
	case $name:$quick in
	messages:*) run $quick "$@" ;;
	growth:*) run $quick ;;
	idle:) run 500 10 ;;
	idle:*) run 100 2 ;;
	*:) run 5 ;;
	*) run 2 ;;
	esac
}

failed=0
for name in $benchmarks; do
	began=$(date +%s)
	if [ ! -x "$build/tests/bench/bench_$name" ]; then
		status=127
	else
		run_one "$@"
		status=$?
	fi
	echo "bench_$name: $(($(date +%s) - began)) s"
	[ $status -eq 0 ] && grep -q "\"bench\": \"bench_$name\"" "$BENCH_ROWS" &&
		continue
	failed=1
	echo "bench_$name: exit status $status, see $output/$name.txt"
	python3 -B tests/bench/report.py failed "$output" "bench_$name" $status
done

python3 -B tests/bench/report.py write "$output" $quick || exit 1
echo "$output/report.md"
exit $failed
