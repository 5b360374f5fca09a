# SPDX-License-Identifier: MIT
"""A program at a terminal of its own, which is typed at and read from."""

import os
import pty
import select
import shutil
import signal
import subprocess
import termios
import time

# Much, for busy machines: Linux says nothing before it has found its console, late in its boot.
PATIENCE = min(4, int(os.environ.get("FH_TEST_TIMEOUT", "1")))
SILENCE = 100.0 * PATIENCE  # seconds, after which a guest hangs
LIMIT = 500.0 * PATIENCE  # seconds, of all: a guest that hangs may say so again and again
TAIL = 20  # lines of the console
WIDTH = 120  # of a stack's lines, columns


def heed_signals():
    """Also where the tests run under nohup, or in the background of a shell."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """Everything that waits ends early, and says so, if the program ends or hangs."""

    def __init__(self, *command, env=None):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.seen = b""
        self.hung = ""  # how it looked, once it hung
        self.reported = False
        self.started = self.heard = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=heed_signals, env=dict(os.environ, **(env or {})))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        os.close(self.master)
        os.close(self.slave)

    def kill(self):
        """The program and what it started."""
        for pid in processes_of_session(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def read(self, seconds):
        """False: nothing came."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self.seen += os.read(self.master, 4096)
        self.heard = time.monotonic()
        return True

    def hangs(self):
        now = time.monotonic()
        if now - self.heard < SILENCE and now - self.started < LIMIT:
            return False
        self.hung = self.hung or f"hangs after {now - self.started:.0f} s\n" + self.stacks()
        return True

    def read_until(self, text, start=0):
        """True if `text` is seen from `start` on."""
        while text not in self.seen[start:] and not self.hangs():
            ended = self.process.poll() is not None
            if not self.read(0.2) and ended:
                break
        return text in self.seen[start:]

    def type(self, keys):
        """Returns where in `seen` the answer starts, for read_until()."""
        start = len(self.seen)
        os.write(self.master, keys)
        self.heard = time.monotonic()
        return start

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def wait(self):
        """Exit status, while everything that is printed is read."""
        while self.process.poll() is None and not self.hangs():
            self.read(0.1)
        self.kill()
        while self.read(0):
            pass
        return self.process.returncode

    def stacks(self):
        """What the threads of the program, and of those that it started, are about."""
        if not shutil.which("gdb"):
            return "(no gdb here: no stacks)"
        text = ""
        for pid in processes_of_session(self.process.pid):
            try:
                done = subprocess.run(
                    ["gdb", "-batch", "-p", str(pid), "-ex", "thread apply all bt"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True, errors="replace", timeout=120, check=False)
                lines = [line[:WIDTH] for line in done.stdout.splitlines()
                         if line.startswith(("Thread ", "#"))]
                text += f"process {pid}:\n" + "\n".join(lines or done.stderr.splitlines()) + "\n"
            except subprocess.TimeoutExpired:
                text += f"process {pid}: gdb hangs\n"
        return text

    def report(self):
        """For people, of what went wrong, and only once of how it hangs."""
        lines = self.seen.decode(errors="replace").replace("\r", "").splitlines()
        lines = [*lines[-TAIL:], f"(exit status {self.process.poll()})"]
        if self.hung and not self.reported:
            lines.append(self.hung)
            self.reported = True
        return "\n".join(lines)


def processes_of_session(session):
    """Session leader first."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.getsid(int(name)) == session:
                found.append(int(name))
        except OSError:
            pass  # it has ended since
    return sorted(found)
