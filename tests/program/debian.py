# SPDX-License-Identifier: MIT
"""Debian's kernel and a busybox that does what the kernel's command line says."""

import os
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import guests  # noqa: E402
from terminal import Terminal  # noqa: E402

FREEHOLD = os.environ["FREEHOLD"]
ASK = "freehold.ask"  # at its command line: it waits for an answer to ...
QUESTION = b"what now? "
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
echo "it is up: $(nproc) harts"
case $(cat /proc/cmdline) in
*freehold.ask*)
	echo -n "what now? "
	read answer
	"$answer" -f
	;;
esac
poweroff -f
"""


class Debian:
    """What it boots from; guests.Missing if that cannot be had."""

    def __init__(self):
        self.work = tempfile.TemporaryDirectory(prefix="freehold-debian-")
        self.kernel, self.initrd = guests.debian(INIT, pathlib.Path(self.work.name))

    def boot(self, harts, *options, append=""):
        """A machine that boots."""
        return Terminal(
            FREEHOLD, "-m", "512M", "-smp", str(harts), "-nographic", "-kernel", str(self.kernel),
            "-initrd", str(self.initrd), "-append",
            f"console=ttyS0 {append}", *options)

    def boots_and_ends(self, harts, append=""):
        """("", "") if all is well, or else what is wrong and how it looked."""
        with self.boot(harts, append=append) as guest:
            status = guest.wait()
            if guest.hung:
                wrong = "it hangs"
            elif status != 0:
                wrong = f"exit status {status}"
            elif harts_seen(guest) != [harts]:
                wrong = f"harts seen: {harts_seen(guest)}"
            elif not is_all_dead(guest):
                wrong = "the ledger is not empty"
            else:
                return "", ""
            return wrong, guest.report()


def harts_seen(guest):
    """How many there were, each time that it was up."""
    return [int(n) for n in re.findall(rb"it is up: (\d+) harts", guest.seen)]


def is_all_dead(guest):
    return re.search(rb"ledger: \d+ objects created, \d+ died, 0 alive", guest.seen) is not None
