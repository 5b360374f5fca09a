#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The console at a terminal: keys that leave and help, and a terminal that is itself again after
every way out. The guest is the firmware alone, which needs nothing from the network."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

FREEHOLD = os.environ["FREEHOLD"]
FIRMWARE = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"
LIMIT = 60.0
failures = 0


def check(what, good):
    global failures
    print(("ok" if good else "not ok") + f" - {what}")
    failures += not good


class Terminal:
    """The program at a terminal of its own."""

    def __init__(self, *options):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [FREEHOLD, "-nographic", *options], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True)

    def read_until(self, text):
        end = time.monotonic() + LIMIT
        while text not in self.seen and time.monotonic() < end:
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 4096)
            elif self.process.poll() is not None:
                break
        return text in self.seen

    def type(self, keys):
        os.write(self.master, keys)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def wait(self):
        """Exit status, while everything that is printed is read."""
        end = time.monotonic() + LIMIT
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 4096)
        if self.process.poll() is None:
            self.process.kill()
        status = self.process.wait()
        while select.select([self.master], [], [], 0.1)[0]:
            self.seen += os.read(self.master, 4096)
        return status


def test_keys():
    t = Terminal()
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
        t = Terminal()
        t.read_until(b"OpenSBI")
        raw = t.is_raw()
        t.process.send_signal(number)
        check(f"{number.name} ends it with status {status}", t.wait() == status)
        check(f"the terminal was raw and is as before {number.name}", raw and t.is_as_before())


def test_errors():
    t = Terminal("-kernel", "/nowhere/kernel")
    check("a missing kernel: status 1", t.wait() == 1)
    check("the terminal is as before", t.is_as_before())
    check("one line", t.seen == b"freehold: /nowhere/kernel: No such file or directory\r\n")


if not os.access(FIRMWARE, os.R_OK):
    print(f"no {FIRMWARE}: skipped")
    sys.exit(77)
test_keys()
test_signals()
test_errors()
sys.exit(1 if failures else 0)
