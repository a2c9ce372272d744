#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh [quick | full | bench] - build with warnings as errors and run the
# tests. The last line is "N passed, N failed, N skipped", over all builds; the
# exit status is 0 only if nothing failed.
#
#   quick   one build and the tests that take little time, under a minute
#   (none)  several builds, every suite, a quarter of an hour at most on two CPUs
#   full    the same without the shortcuts that the long tests take, and a
#           release build; however long it takes
#   bench   the benchmarks of a release build
#
# Each build has its own directory below build/.

cd "$(dirname "$0")/.." || exit 1

mode=${1:-normal}
case $mode in
normal | quick | full | bench) ;;
*)
	echo "usage: tests/run.sh [quick | full | bench]" >&2
	exit 2
	;;
esac

. tests/packages.sh
packages_need cc g++ clang lld meson ninja pkg-config python3 nm cmocka \
	libev libpng nettle msgpack mandoc sanitizers valgrind

mkdir -p build
passed=0
failed=0
skipped=0
compiler=gcc
# What links, or the compiler's own.
linker=
# Suites that a build leaves out, as an argument of meson test.
excluded=
# How the names of objects begin that a build compiles and links with nothing.
unlinked=
# The process of build_ahead(), and what makes others come before it.
ahead=
aside=
# What runs meson test, for builds that need a special surrounding.
without_aslr=
# What meson adds to the names of its logs when it runs tests under a wrapper.
wrapped=
# Multiplies meson's time limits for tests.
patience=1
# Many tests wait for time to pass, so there are more of them than CPUs.
usual=$(($(getconf _NPROCESSORS_ONLN) + 2))
at_once=$usual

# configure BUILD [OPTION...]: make or renew build/BUILD.
configure()
{
	dir=build/$1
	shift
	set -- --werror -Db_colorout=auto \
		-Dtests=enabled -Dexamples=enabled "$@"
	if [ -f "$dir/build.ninja" ] &&
	    $aside meson setup --reconfigure "$@" "$dir"; then
		return 0
	fi
	rm -rf "$dir"
	CC=$compiler CC_LD=$linker CXX_LD=$linker $aside meson setup "$@" "$dir"
}

# unlinked_objects BUILD: those of $unlinked; ninja fails where there are none.
unlinked_objects()
{
	for beginning in $unlinked; do
		ninja -C "build/$1" -t targets all |
			awk -F: -v beginning="$beginning" '
			index($1, beginning) == 1 && $1 ~ /\.o$/ {
				print $1
				found = 1
			}
			END { if (!found) print beginning }'
	done
}

# compile BUILD SUITES [OPTION...]: configure and compile what the tests of these
# suites need, or all.
compile()
{
	name=$1
	targets=
	for suite in $2; do
		targets="$targets suite-$suite"
	done
	[ "$2" != all ] && [ $mode != full ] || targets=all
	shift 2
	log=build/$name.log
	configure "$name" "$@" > "$log" 2>&1 &&
		$aside ninja -C "build/$name" $targets \
			$(unlinked_objects "$name") >> "$log" 2>&1
}

# build BUILD SUITES [OPTION...]: the same; a failure counts as one.
build()
{
	[ -z "$ahead" ] || wait "$ahead"
	ahead=
	compile "$@" && return 0
	echo "$name: the build failed"
	awk '/^FAILED|error:|ERROR:/ { found = 1 } found' "$log" | head -n 40
	failed=$((failed + 1))
	return 1
}

# build_ahead: compile what builds need that come later, in the time that tests
# leave, which is half of it: they wait a lot, and go first. build() finds it done.
build_ahead()
{
	(
		aside='chrt --idle 0'
		compiler=clang
		unlinked=$clang_unlinked
		compile clang "$clang_suites" $clang_options
		unlinked=
		compiler=gcc
		linker=$asan_linker
		compile asan "$asan_suites" $asan_options
		linker=
		compile tsan tsan $tsan_options
	) &
	ahead=$!
	trap 'kill $ahead 2> /dev/null' EXIT
	trap 'exit 130' INT TERM HUP
}

# check BUILD ARGUMENT...: run meson test on a build and add up its cases.
check()
{
	name=$1
	logs=build/$name/meson-logs/testlog$wrapped
	shift
	began=$(date +%s)
	rm -f "$logs".*
	$without_aslr meson test -C "build/$name" --no-rebuild \
		-t $patience --num-processes $at_once "$@" \
		> "build/$name.test.log" 2>&1
	status=$?

	echo '0 1 0' > "build/$name.counts"
	python3 tests/results.py "$logs" $status tests/allowed-skips \
		"build/$name.counts"
	read -r p f s < "build/$name.counts"
	echo "$name: $p passed, $f failed, $s skipped," \
		"$(($(date +%s) - began)) s"
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
}

# run BUILD SUITE...: the tests of some suites.
run()
{
	name=$1
	shift
	suites=$excluded
	for suite; do
		suites="$suites --suite $suite"
	done
	echo "$name: $*"
	check "$name" $suites
}

# ThreadSanitizer of older compilers cannot place its shadow memory where the
# kernel randomises addresses by more bits than it knows.
tsan_without_aslr()
{
	echo 'int main(void) { return 0; }' |
		gcc -fsanitize=thread -x c -o build/probe -
	if ! build/probe > /dev/null 2>&1 &&
	    setarch "$(uname -m)" -R build/probe > /dev/null 2>&1; then
		echo "setarch $(uname -m) -R"
	fi
	rm -f build/probe
}

# What the tests themselves look at: how much to try, and a multiplier for the
# limits within the programs.
export MPT_LEVEL=$mode
# How many instructions of an operation the step tests kill at.
case $mode in
quick | full) export MPT_STEP=$mode ;;
esac

case $mode in
quick)
	build gcc all -Dparking=futex && run gcc unit api meta step
	;;
bench)
	export MPT_LEVEL=normal
	build bench all -Dbuildtype=release &&
		check bench --benchmark --verbose &&
		cat build/bench.test.log
	;;
*)
	[ $mode = normal ] || patience=50
	# Who repeats a failure has a build of his own; here they cost time.
	lines=-Ddebug=false
	[ $mode = normal ] || lines=-Ddebug=true
	built=
	build gcc all $lines -Dparking=futex && built=yes
	# What is public is compiled by clang, and run by the others; and what
	# it compiles sleeps on semaphores, so that two things are looked at in
	# one build.
	clang_suites='unit parking'
	clang_unlinked='tests/test_api_ tests/test_examples_ tests/spawn_'
	clang_unlinked="$clang_unlinked tests/libspawn_ src/mproc-manager examples/"
	# For its warnings above all, so the time goes into other builds.
	clang_options="-Dparking=semaphore -Doptimization=1 $lines"
	asan_suites='unit api hostile examples'
	# Sanitizers look at what optimization leaves, and take half the time
	# to compile. Here all of api sleeps on semaphores.
	asan_options="-Db_sanitize=address,undefined -Dparking=semaphore"
	asan_options="$asan_options -Doptimization=1 $lines"
	# Takes half the time for programs of that size. What it makes of the
	# library's sections nobody looks at here.
	asan_linker=lld
	tsan_options="-Db_sanitize=thread -Doptimization=1 $lines"
	build_ahead
	# All schedules of all of it would take two minutes: of four parts of the
	# explorer one goes deep each day.
	today=$(($(date +%s) / 86400 % 4))
	deep=
	shallow=
	for part in 0 1 2 3; do
		if [ $mode = full ] || [ $part = $today ]; then
			deep="$deep turn$part"
		else
			shallow="$shallow turn$part"
		fi
	done
	[ -z "$built" ] || {
		run gcc unit api step hostile examples meta $deep
		# Eight processes each, most of which work all the time.
		at_once=$((usual - 2))
		[ $mode = normal ] || at_once=1
		run gcc chaos
	}

	# The other builds look for what the first cannot show. There the short
	# forms of long tests do. They wait more than they work.
	[ $mode = full ] || export MPT_LEVEL=quick MPT_STEP=quick
	at_once=$((usual + 4))
	[ $mode = full ] ||
		excluded='--no-suite slow_method --no-suite slow_fallback'
	[ -z "$built" ] || run gcc fallback method $shallow
	at_once=$((usual + 1))
	# The first build has tested what tests.
	[ $mode = full ] || excluded='--no-suite support'
	compiler=clang
	unlinked=$clang_unlinked
	again='unit parking'
	[ $mode = normal ] || again='unit api step chaos hostile examples'
	build clang "$clang_suites" $clang_options && run clang $again
	unlinked=
	excluded=
	compiler=gcc
	if [ $mode = full ]; then
		build release all -Dbuildtype=release &&
			run release unit api hostile examples
	fi

	[ -z "$built" ] || {
		echo "gcc: valgrind"
		# It knows no pidfds, and is slow with large mappings.
		export MPT_ARENA=256 MPT_WITHOUT=pidfd MPT_SLOW=4
		patience=$((patience * 4))
		wrapped=-valgrind
		check gcc --suite valgrind \
			--wrapper 'valgrind -q --error-exitcode=99'
		wrapped=
		patience=$((patience / 4))
		unset MPT_ARENA MPT_WITHOUT MPT_SLOW
	}

	patience=$((patience * 4))
	export MPT_SLOW=4
	excluded='--no-suite unsanitized'
	linker=$asan_linker
	build asan "$asan_suites" $asan_options && run asan $asan_suites
	linker=
	at_once=$usual
	# Its tests are those of a list.
	excluded=
	build tsan tsan $tsan_options && {
		without_aslr=$(tsan_without_aslr)
		run tsan tsan
	}
	;;
esac

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
