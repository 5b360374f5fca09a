#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs Doxygen and makes an error of each of its warnings, but for a struct's or enum's member that
# has no comment: where its name says all, none is wanted.
#
#	docs/build.sh DOXYGEN DOXYFILE WARNINGS
set -eu

"$1" "$2" || exit 1
if grep -v 'warning: Member .* of \(struct\|union\|enum\(eration\)\{0,1\}\) .* is not documented' "$3" >&2; then
	exit 1
fi
