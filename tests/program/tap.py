# SPDX-License-Identifier: MIT
"""What a test prints, in the Test Anything Protocol: a line for each case, and the plan last."""

import sys

numbered = 0
failures = 0


def say(line):
    print(line, flush=True)


def check(what, good, *more):
    """One case; `more` is shown if it failed."""
    global numbered, failures
    numbered += 1
    failures += not good
    say(("ok" if good else "not ok") + f" {numbered} - {what}")
    for text in more if not good else ():
        for line in str(text).splitlines():
            say(f"# {line}")
    return good


def skip(what, why):
    global numbered
    numbered += 1
    say(f"ok {numbered} # SKIP {what}: {why}")


def end():
    """After the last case. Without the plan the test is one that ended too soon."""
    say(f"1..{numbered}")
    sys.exit(1 if failures else 0)
