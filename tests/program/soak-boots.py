#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's kernel boots and powers off again and again: a hang that is a race is lost only
sometimes. At the full effort of `make soak` it is 20 times for each number of harts.

    soak-boots.py [NUMBER OF HARTS...]
"""

import os
import sys
import time

sys.dont_write_bytecode = True
import debian  # noqa: E402
import tap  # noqa: E402

TIMES = max(1, 2 * int(os.environ.get("FH_TEST_EFFORT", "100")) // 100)
HARTS = [int(word) for word in sys.argv[1:]] or [1, 2, 4]


def main():
    try:
        guest = debian.Debian()
    except debian.guests.Missing as why:
        for harts in HARTS:
            tap.skip(f"{TIMES} boots with {harts} harts", why)
        tap.end()
    for harts in HARTS:
        for number in range(1, TIMES + 1):
            start = time.monotonic()
            # Every other boot tells how far it comes before its console is there.
            wrong, report = guest.boots_and_ends(harts, "" if number % 2 else "earlycon")
            took = time.monotonic() - start
            tap.check(f"boot {number} of {TIMES} with {harts} harts ({took:.1f} s)", not wrong,
                      wrong, report)
    tap.end()


main()
