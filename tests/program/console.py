#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The console at a terminal: keys that leave and help, and a terminal that is itself again after
every way out. The guest is the firmware alone, which needs nothing from the network."""

import os
import signal
import sys

sys.dont_write_bytecode = True
from tap import check, end, skip  # noqa: E402
from terminal import Terminal  # noqa: E402

FREEHOLD = os.environ["FREEHOLD"]
FIRMWARE = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"


def at_terminal(*options):
    return Terminal(FREEHOLD, "-nographic", *options)


def test_keys():
    with at_terminal() as t:
        check("the firmware is heard", t.read_until(b"OpenSBI"))
        check("the terminal is raw", t.is_raw())
        t.type(b"\x01h")
        check("Ctrl-A h helps", t.read_until(b"Ctrl-A x"))
        t.type(b"\x03\x01\x01\x01?")
        t.type(b"\x01x")
        check("Ctrl-A x leaves with status 0", t.wait() == 0)
        check("the terminal is as before", t.is_as_before())
        check("the ledger is printed", b"objects created" in t.seen and b" 0 alive" in t.seen)


def test_signals():
    for number, status in ((signal.SIGTERM, 128 + signal.SIGTERM),
                           (signal.SIGINT, 128 + signal.SIGINT),
                           (signal.SIGHUP, 128 + signal.SIGHUP),
                           (signal.SIGABRT, -signal.SIGABRT),
                           (signal.SIGQUIT, -signal.SIGQUIT)):
        with at_terminal() as t:
            t.read_until(b"OpenSBI")
            raw = t.is_raw()
            t.process.send_signal(number)
            check(f"{number.name} ends it with status {status}", t.wait() == status)
            check(f"the terminal was raw and is as before {number.name}",
                  raw and t.is_as_before())


def test_errors():
    with at_terminal("-bios", "none", "-kernel", "/nowhere/kernel") as t:
        check("a missing kernel: status 1", t.wait() == 1)
        check("the terminal is as before", t.is_as_before())
        check("one line", t.seen == b"freehold: /nowhere/kernel: No such file or directory\r\n",
              t.seen)


if os.access(FIRMWARE, os.R_OK):
    test_keys()
    test_signals()
else:
    skip("keys and signals", f"no {FIRMWARE}")
test_errors()
end()
