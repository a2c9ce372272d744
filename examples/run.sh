#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh [PATH...] - build the main job from nothing and run it: count the words
# below PATH (/usr/include if none is given) with several processes, then once
# more while workers are killed at random. Both answers are the same.

cd "$(dirname "$0")/.." || exit 1
origin=$OLDPWD
. tests/packages.sh
packages_need cc meson ninja pkg-config python3

build=build/examples
if [ ! -f $build/build.ninja ]; then
	rm -rf $build
	mkdir -p build
	if ! meson setup $build -Dtests=disabled -Dbuildtype=release \
	    > build/examples.log 2>&1; then
		cat build/examples.log >&2
		exit 1
	fi
fi
if ! ninja -C $build > build/examples.log 2>&1; then
	cat build/examples.log >&2
	exit 1
fi

wordcount=$PWD/$build/examples/wordcount
cd "$origin" || exit 1

run()
{
	echo "\$ wordcount $*"
	"$wordcount" "$@"
	status=$?
	[ $status -eq 0 ] || result=$status
	echo
}

result=0
run --compare --top 10 "$@"
run -j 1 --top 3 "$@"
run --chaos --compare --top 5 "$@"
exit $result
