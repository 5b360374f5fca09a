#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A minute of everything at once; how long can be chosen. The seed is new each time, and printed.
set -eu

"$FREEHOLD" torture --seconds 1 --seed 1 --threads 1
"$FREEHOLD" torture --seconds "${FREEHOLD_TORTURE_SECONDS:-60}"
