# SPDX-License-Identifier: MIT
"""The configurations in which Freehold is built and tested, for check.py and mutants.py."""

import dataclasses
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
JOBS = str(os.cpu_count() or 1)


@dataclasses.dataclass
class Config:
    """One build directory and what is run in it."""

    name: str
    about: str
    suites: list = dataclasses.field(default_factory=list)  # none: all
    compiler: str = "gcc"
    options: list = dataclasses.field(default_factory=list)  # of meson setup
    env: dict = dataclasses.field(default_factory=dict)  # of the tests
    effort: int = 100  # per cent, of tests whose length can be chosen
    torture: int = 60  # seconds of it
    timeout: int = 1  # multiplies the tests' own
    wrapper: list = dataclasses.field(default_factory=list)  # of the tests
    builds_as: str = ""  # another's build directory is used
    cross: bool = False
    long: bool = False  # for `make soak`, not for `make check`

    def directory(self):
        return BUILD / "check" / (self.builds_as or self.name)

    def environment(self):
        """That of the tests. Where their length can be chosen, it is so much of the full one;
        those with limits of their own multiply them likewise."""
        effort = {
            "FH_TEST_EFFORT": str(self.effort),
            "FH_TEST_TIMEOUT": str(self.timeout),
            "FH_MODEL_EDITS": str(1100000 * self.effort // 100),
            "FREEHOLD_TORTURE_SECONDS": str(self.torture),
        }
        return dict(os.environ, **effort, **self.env)


def without_address_randomisation():
    """ThreadSanitizer's shadow has no room for what newer kernels randomise."""
    command = ["setarch", platform.machine(), "-R"]
    if shutil.which("setarch") and subprocess.run(command + ["true"], stderr=subprocess.DEVNULL,
                                                  check=False).returncode == 0:
        return command
    return []


ASAN_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}
TSAN_ENV = {
    "TSAN_OPTIONS": f"suppressions={ROOT / 'tools/tsan.supp'}:second_deadlock_stack=1",
}


def all_configs():
    """Those that this machine can build, by name, in the order in which they run."""
    tsan = Config("tsan", "ThreadSanitizer", ["unit", "scenario", "stress", "program"],
                  compiler="clang", options=["-Db_sanitize=thread", "-Db_lundef=false"],
                  env=TSAN_ENV, effort=4, torture=20, timeout=4,
                  wrapper=without_address_randomisation())
    configs = [
        Config("gcc", "every test, full length"),
        Config("clang", "another compiler, lock annotations", ["unit", "scenario", "public"],
               compiler="clang"),
        Config("asan", "AddressSanitizer, UndefinedBehaviorSanitizer",
               ["unit", "scenario", "model", "public", "examples", "program", "fuzz"],
               options=["-Db_sanitize=address,undefined"], env=ASAN_ENV, effort=30, torture=20,
               timeout=4),
        tsan,
        Config("valgrind", "Valgrind: values never set", ["unit"], builds_as="gcc",
               env={"FH_UNDER_VALGRIND": "1"}, effort=1, timeout=10,
               wrapper=["valgrind", "--quiet", "--error-exitcode=99", "--fair-sched=yes"]),
    ]
    if platform.machine() == "x86_64":
        configs.append(Config("aarch64", "cross build, QEMU's user mode", ["unit"],
                              env={"FH_UNDER_QEMU": "1"}, timeout=4, cross=True))
    configs += [
        Config("soak", "what takes long", ["soak", "model", "stress"], builds_as="gcc",
               effort=1000, torture=600, timeout=20, long=True),
        dataclasses.replace(tsan, name="soak-tsan", about="what takes long, ThreadSanitizer",
                            suites=[*tsan.suites, "soak"], builds_as="tsan", effort=100,
                            torture=60, timeout=40, long=True),
    ]
    return {config.name: config for config in configs}


def debian_codename():
    with open("/etc/os-release", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.strip().partition("=")
            if key == "VERSION_CODENAME":
                return value.strip('"')
    return ""


def write_cross_file(log):
    """The cross compiler knows its C library; the other libraries come from Debian's packages."""
    fetched = subprocess.run(
        [ROOT / "tools/fetch-deb.sh", "arm64", debian_codename(), "liburcu-dev", "libcmocka-dev",
         "libjansson-dev", "libfdt-dev", "libuv1-dev"],
        stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    if fetched.returncode != 0:
        return None
    root = fetched.stdout.strip()
    triple = "aarch64-linux-gnu"
    libraries = f"{root}/usr/lib/{triple}"
    text = f"""# Written by tools/configs.py
[binaries]
c = '{triple}-gcc'
ar = '{triple}-ar'
strip = '{triple}-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '/usr/{triple}', '-E', 'LD_LIBRARY_PATH={libraries}']

[properties]
sys_root = '{root}'
pkg_config_libdir = '{libraries}/pkgconfig'

[built-in options]
c_args = ['-isystem', '{root}/usr/include', '-isystem', '{root}/usr/include/{triple}']
c_link_args = ['-L{libraries}', '-Wl,-rpath-link,{libraries}']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
"""
    path = BUILD / "check" / "aarch64.ini"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def set_up(config, log, directory=None, source=ROOT, werror=True):
    """Makes the build directory, or makes it anew if it was made in another way; or else it follows
    what meson.build files say now. True if it is there."""
    directory = directory or config.directory()
    command = ["meson", "setup", str(directory), str(source), "-Dprogram=enabled",
               "-Dtests=enabled"]
    command += ["-Dwerror=true"] if werror else []
    command += config.options
    env = dict(os.environ, CC=config.compiler)
    if config.cross:
        cross_file = write_cross_file(log)
        if not cross_file:
            return False
        command += ["--cross-file", str(cross_file)]
        del env["CC"]
    stamp = directory / ".made-by"
    made_by = f"CC={env.get('CC', '')} {shlex.join(command)}\n"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == made_by:
        return build(config, log, directory, ["build.ninja"])
    shutil.rmtree(directory, ignore_errors=True)
    result = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=env, check=False)
    if result.returncode == 0:
        stamp.write_text(made_by, encoding="utf-8")
    return result.returncode == 0


def build(config, log, directory=None, targets=()):
    """True if it compiled, all of it unless targets are named."""
    command = ["ninja", "-C", str(directory or config.directory()), "-j", JOBS, "--quiet", *targets]
    return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT,
                          check=False).returncode == 0


def parse_tap(text):
    """The cases in a TAP output: a list of (name, "ok" | "not ok" | "skip"), and the plan or None.

    Understands what cmocka 1.1 and 2 print: "1..2", "ok 1 - name", "not ok 2 - name",
    "not ok 3 # SKIP name", and "not ok 4 - name Could not run test: why" of a case whose teardown
    failed too.
    """
    cases, plan = [], None
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0].startswith("1..") and words[0][3:].isdigit() and len(words) == 1:
            plan = (plan or 0) + int(words[0][3:])
            continue
        passed = words[0] == "ok"
        if not passed and words[:2] != ["not", "ok"]:
            continue
        rest = words[1:] if passed else words[2:]
        if not rest or not rest[0].isdigit():
            continue
        rest = [word for word in rest[1:] if word not in ("-", "#")]
        if rest and rest[0].upper() == "SKIP":
            cases.append((" ".join(rest[1:]), "skip"))
        else:
            name, _, _ = " ".join(rest).partition(" Could not run test:")
            cases.append((name, "ok" if passed else "not ok"))
    return cases, plan


if __name__ == "__main__":
    sys.exit("configs.py is a part of check.py and mutants.py")
