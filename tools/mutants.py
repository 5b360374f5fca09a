#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that the tests can fail: `make mutants`.

    tools/mutants.py [--dry-run] [NAME...]

Each tests/mutants/NAME.patch breaks the sources in one small way. Before its diff it says

    Mutant: what is changed, in a few words
    Law: L3                     one of L1 to L8, `base`, `object`, `map`, `device`, `cpu`, `board`;
                                several with commas
    Killed-by: unit-view/hole_shows_what_lies_under_it
    Config: asan                optional: asan, tsan or another of check.py's; else gcc

Killed-by names a test as `meson test --list` does (SUITE-FILE), and after a slash one cmocka case in
it. All is done to a copy of the tree, in build/mutants. A mutant is killed if the named test fails
with it (a failed case, an assertion, a crash, a sanitizer's report, a timeout); the same test must
pass without it. A patch that does not apply or not compile is an error, and so are fewer than two
mutants for a law, ten for the map, the devices or the CPU, or five for the board or the objects.

--dry-run only looks whether the patches are well formed, apply, and name tests that exist.
"""

import argparse
import collections
import filecmp
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import configs  # noqa: E402
from configs import BUILD, ROOT  # noqa: E402

PATCHES = ROOT / "tests" / "mutants"
NEEDED = {**{f"L{number}": 2 for number in range(1, 9)}, "base": 2, "map": 10, "cpu": 10,
          "board": 5, "device": 10, "object": 5}


class MutantError(Exception):
    """What is wrong with a patch, or with a test that it names."""


class Mutant:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        fields = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(("diff ", "--- ")):
                break
            key, colon, value = line.partition(": ")
            if colon:
                fields[key] = value.strip()
        for key in ("Mutant", "Law", "Killed-by"):
            if not fields.get(key):
                raise MutantError(f"{path.name} has no line `{key}: ...` before its diff")
        self.about = fields["Mutant"]
        self.laws = [law.strip() for law in fields["Law"].split(",")]
        self.killer = fields["Killed-by"]
        self.test, _, self.case = self.killer.partition("/")
        self.config = fields.get("Config", "gcc")
        for law in self.laws:
            if law not in NEEDED:
                raise MutantError(f"{path.name}: no law is called {law}")
        if self.config not in configs.all_configs():
            raise MutantError(f"{path.name}: no configuration is called {self.config}")


def apply_patch(path, tree, *options):
    """git apply, as outside of any repository: a tree in build/ lies within this one."""
    env = dict(os.environ, GIT_CEILING_DIRECTORIES=str(tree.parent))
    result = subprocess.run(["git", "apply", *options, str(path)], cwd=tree, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if result.returncode != 0:
        raise MutantError(f"{path.name} does not apply: {result.stdout.strip()}")


def check_named_test(mutant):
    suite, _, stem = mutant.test.partition("-")
    if suite == "program":
        return
    directory = "examples" if suite == "example" else f"tests/{suite}"
    source = ROOT / directory / f"{stem}.c"
    if not source.is_file():
        raise MutantError(f"{mutant.path.name}: there is no test {mutant.test}")
    if mutant.case and mutant.case not in source.read_text(encoding="utf-8"):
        raise MutantError(f"{mutant.path.name}: {mutant.test} has no case {mutant.case}")


class Workshop:
    """A copy of the tree, and its build, for one configuration."""

    def __init__(self, name):
        self.config = configs.all_configs()[name]
        self.place = BUILD / "mutants" / name
        self.tree = self.place / "tree"
        self.build = self.place / "build"
        self.tests = {}

    def prepare(self):
        self.copy_tree()
        with open(self.place / "build.log", "w", encoding="utf-8") as log:
            if not configs.set_up(self.config, log, self.build, self.tree, werror=False):
                raise MutantError(f"meson setup failed: see {log.name}")
        listed = subprocess.run(["meson", "introspect", "--tests", str(self.build)],
                                stdout=subprocess.PIPE, text=True, check=True).stdout
        self.tests = {test["name"]: test for test in json.loads(listed)}

    def copy_tree(self):
        """Only what differs, so that only that is compiled again."""
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT,
                                stdout=subprocess.PIPE, text=True, check=True).stdout
        wanted = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
        self.tree.mkdir(parents=True, exist_ok=True)
        for path in self.tree.rglob("*"):
            if path.is_file() and str(path.relative_to(self.tree)) not in wanted:
                path.unlink()
        for name in sorted(wanted):
            source, copy = ROOT / name, self.tree / name
            if not copy.is_file() or not filecmp.cmp(source, copy, shallow=False):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)  # not copy2: a new time makes ninja look

    def target(self, name):
        """What to build for a test: its executable, or everything if it is a script."""
        path = pathlib.Path(self.tests[name]["cmd"][0])
        return [str(path.relative_to(self.build))] if path.is_relative_to(self.build) else []

    def compile(self, names, log_name):
        """Compiles what the tests need."""
        targets = [self.target(name) for name in names]
        everything = not all(targets)
        with open(self.place / f"{log_name}.log", "w", encoding="utf-8") as log:
            if not configs.build(self.config, log, self.build,
                                 [] if everything else [target[0] for target in targets]):
                raise MutantError(f"does not compile: see {log.name}")

    def fails(self, name, case, timeout):
        """Why the test, or one case of it, does not pass; None if it does."""
        test = self.tests[name]
        env = dict(self.config.environment(), **test["env"])
        wrapper = test["cmd"] if not self.config.wrapper else self.config.wrapper + test["cmd"]
        try:
            result = subprocess.run(wrapper, cwd=test.get("workdir") or self.build, env=env,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            return "timeout"
        (self.place / "test.log").write_bytes(result.stdout)
        cases, _ = configs.parse_tap(result.stdout.decode(errors="replace"))
        states = dict(cases)
        if case and states.get(case) == "not ok":
            return "case failed"
        if result.returncode < 0:
            return f"signal {-result.returncode}"
        if result.returncode != 0 and (not case or "not ok" not in states.values()):
            return f"exit status {result.returncode}"
        if case and case not in states:
            return "case was not run"
        if env.get("CMOCKA_MESSAGE_OUTPUT") == "TAP" and not cases:
            return "no case was run"
        return None


def baseline(workshop, mutants, tally):
    """Runs the named tests without any mutant; returns the time that each took that passed."""
    for name in sorted({mutant.test for mutant in mutants} - workshop.tests.keys()):
        tally.error(f"no test is called {name} ({workshop.config.name})")
    killers = sorted({(mutant.test, mutant.case) for mutant in mutants
                      if mutant.test in workshop.tests})
    workshop.compile({test for test, _ in killers}, "baseline")
    seconds = {}
    for test, case in killers:
        start = time.monotonic()
        why = workshop.fails(test, case, timeout=600)
        if why:
            tally.error(f"{test}/{case} fails without any mutant: {why}")
        else:
            seconds[test, case] = time.monotonic() - start
    return seconds


def try_mutant(workshop, mutant, seconds):
    """Why the named test failed, or None if the mutant survived."""
    apply_patch(mutant.path, workshop.tree)
    try:
        workshop.compile([mutant.test], mutant.name)
        return workshop.fails(mutant.test, mutant.case, max(15, 10 * seconds))
    finally:
        apply_patch(mutant.path, workshop.tree, "--reverse")


class Tally:
    def __init__(self):
        self.killed = 0
        self.survived = 0
        self.errors = 0

    def row(self, mutant, result, detail, seconds=0.0):
        print(f"{mutant.name:<40} {','.join(mutant.laws):<6} {mutant.config:<6} {result:<9}"
              f"{seconds:>5.0f} s  {mutant.killer}: {detail}", flush=True)

    def error(self, text):
        self.errors += 1
        print(f"error: {text}", flush=True)


def run_workshop(name, mutants, tally):
    workshop = Workshop(name)
    try:
        workshop.prepare()
        seconds = baseline(workshop, mutants, tally)
    except MutantError as error:
        tally.error(f"{name}: {error}")
        return
    for mutant in mutants:
        if (mutant.test, mutant.case) not in seconds:
            continue
        start = time.monotonic()
        try:
            why = try_mutant(workshop, mutant, seconds[mutant.test, mutant.case])
        except MutantError as error:
            tally.error(f"{mutant.name}: {error}")
            continue
        took = time.monotonic() - start
        if why:
            tally.killed += 1
            tally.row(mutant, "killed", why, took)
        else:
            tally.survived += 1
            tally.row(mutant, "SURVIVED", mutant.about, took)


def read_mutants(names, tally):
    mutants = []
    for path in sorted(PATCHES.glob("*.patch")):
        if names and path.stem not in names:
            continue
        try:
            mutant = Mutant(path)
            check_named_test(mutant)
            mutants.append(mutant)
        except MutantError as error:
            tally.error(error)
    for name in set(names) - {path.stem for path in PATCHES.glob("*.patch")}:
        tally.error(f"there is no tests/mutants/{name}.patch")
    return mutants


def main():
    parser = argparse.ArgumentParser(description="Breaks the sources to see the tests fail.")
    parser.add_argument("--dry-run", action="store_true", help="only look at the patches")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of tests/mutants/NAME.patch")
    args = parser.parse_args()
    tally = Tally()
    mutants = read_mutants(args.names, tally)

    if args.dry_run:
        for mutant in mutants:
            try:
                apply_patch(mutant.path, ROOT, "--check")
            except MutantError as error:
                tally.error(error)
        print(f"mutants: {len(mutants)} well formed, {tally.errors} errors")
        return 1 if tally.errors else 0

    by_config = collections.defaultdict(list)
    for mutant in mutants:
        by_config[mutant.config].append(mutant)
    for name, group in by_config.items():
        run_workshop(name, group, tally)
    if not args.names:
        counts = collections.Counter(law for mutant in mutants for law in mutant.laws)
        for law, needed in NEEDED.items():
            if counts[law] < needed:
                tally.error(f"{counts[law]} mutants for {law}, {needed} are needed")
    if tally.errors:
        print(f"{tally.errors} errors")
    print(f"{tally.killed} killed, {tally.survived} survived")
    return 1 if tally.errors or tally.survived or not tally.killed else 0


if __name__ == "__main__":
    sys.exit(main())
