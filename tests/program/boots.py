#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Guests that others wrote boot, do something and end: Debian's kernel, U-Boot, and what
tools/run.sh makes of them for people. At less than the full effort each is booted in one way."""

import os
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
import debian  # noqa: E402
import tap  # noqa: E402
from debian import ASK, FREEHOLD, QUESTION, guests  # noqa: E402
from terminal import Terminal  # noqa: E402

RUN = str(pathlib.Path(__file__).resolve().parents[2] / "tools/run.sh")
FIRMWARE = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"
FULL = int(os.environ.get("FH_TEST_EFFORT", "100")) >= 100
PROMPT = b"=> "
LEAVE = b"To leave: 'poweroff -f' here, or Ctrl-A x."


def end_of(guest, *conditions):
    """Conditions of a case, with an end as it should be; and what is shown if they do not hold."""
    status = guest.wait()
    good = all(conditions) and status == 0 and not guest.hung and debian.is_all_dead(guest)
    return good, guest.report()


# --- Debian's kernel ------------------------------------------------------------------------------

def test_linux(linux):
    for harts in (1, 2, 4) if FULL else (4,):
        wrong, report = linux.boots_and_ends(harts)
        tap.check(f"Linux boots and powers off, harts: {harts}", not wrong, wrong, report)


def answer(guest, start, text):
    """Where the guest goes on, once it has asked and was answered."""
    return guest.type(text + b"\n") if guest.read_until(QUESTION, start) else len(guest.seen)


def test_reboot(linux):
    with linux.boot(2, append=ASK) as guest:
        again = answer(guest, 0, b"reboot")
        answer(guest, again, b"poweroff")
        good, report = end_of(guest)
        tap.check("Linux that reboots boots again",
                  good and debian.harts_seen(guest) == [2, 2], report)
    if FULL:
        with linux.boot(2, "-no-reboot", append=ASK) as guest:
            answer(guest, 0, b"reboot")
            good, report = end_of(guest)
            tap.check("with -no-reboot its reboot is the end",
                      good and debian.harts_seen(guest) == [2], report)


def at_shell(*options):
    """tools/run.sh at a terminal; if it says how to leave, and if its shell answers."""
    terminal = Terminal(RUN, *options)
    told = terminal.read_until(LEAVE) and terminal.read_until(b"# ", terminal.seen.find(LEAVE))
    start = terminal.type(b"echo $((6*7))\n") if told else 0
    return terminal, told, told and terminal.read_until(b"\n42\r", start)


def test_shell():
    terminal, told, sum_seen = at_shell()
    with terminal:
        tap.check("run.sh says how to leave", told, "" if told else terminal.report())
        tap.check("its shell answers", sum_seen, "" if sum_seen else terminal.report())
        terminal.type(b"poweroff -f\n")
        good, report = end_of(terminal)
        tap.check("poweroff ends it with status 0", good, report)


def test_leaving():
    terminal, told, sum_seen = at_shell("-smp", "2")
    with terminal:
        raw = terminal.is_raw()
        terminal.type(b"\x01x")
        good, report = end_of(terminal, told, sum_seen, raw)
        tap.check("Ctrl-A x at the shell ends run.sh with status 0", good, report)
        tap.check("the terminal is as before", terminal.is_as_before())


def test_tour():
    done = subprocess.run([RUN, "-smp", "4"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    tap.check("run.sh without a terminal shows all of its tour", done.returncode == 0 and
              "all of the tour was seen" in done.stdout, done.stdout[-4000:])
    tap.check("its options are those of the machine", "CPU3" in done.stdout, done.stdout[-4000:])


# --- U-Boot ---------------------------------------------------------------------------------------

def test_u_boot(what, *options):
    with Terminal(FREEHOLD, "-m", "256M", "-nographic", *options) as guest:
        asked = guest.read_until(b"stop autoboot")
        start = guest.type(b" ")
        stopped = guest.read_until(PROMPT, start)
        silent = b"evice" not in guest.seen[start:]  # it has not looked for any to boot from
        start = guest.type(b"version\n")
        knows = guest.read_until(b"U-Boot 20", start) and guest.read_until(PROMPT, start)
        guest.type(b"poweroff\n")
        good, report = end_of(guest, asked, stopped, silent, knows)
        tap.check(f"U-Boot {what} stops at its prompt, runs a command and powers off", good, report)


# --- All ------------------------------------------------------------------------------------------

def have(what, get, *arguments):
    """None, and the case is skipped, if it cannot be had."""
    try:
        return get(*arguments)
    except guests.Missing as why:
        tap.skip(what, why)
    return None


def main():
    firmware = os.access(FIRMWARE, os.R_OK)
    if not firmware:
        tap.skip("Linux, and U-Boot in S-mode", f"no {FIRMWARE}")
    linux = have("Linux", debian.Debian) if firmware else None
    if linux:
        test_linux(linux)
        test_reboot(linux)
    if linux and FULL:
        test_shell()
        test_leaving()
        test_tour()
    image = have("U-Boot in S-mode", guests.u_boot, "qemu-riscv64_smode") if firmware else None
    if image:
        test_u_boot("in S-mode", "-kernel", image)
    image = have("U-Boot in M-mode", guests.u_boot, "qemu-riscv64")
    if image:
        test_u_boot("in M-mode", "-bios", image)
    tap.end()


main()
