#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh EXPECTED PROGRAM [ARG...] - run an example, compare what it prints.
# The program must exit with status 0, and its standard output must be the file
# EXPECTED byte for byte.

expected=$1
shift
actual=$(mktemp) || exit 1
trap 'rm -f "$actual"' EXIT

"$@" > "$actual"
status=$?
if [ $status -ne 0 ]; then
	echo "$1 ended with status $status" >&2
	exit 1
fi
diff -u "$expected" "$actual" >&2
