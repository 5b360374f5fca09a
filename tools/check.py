#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Everything that must hold before a change lands: `make check`.

    tools/check.py [--list] [--soak] [NAME...]

NAME is a check or a configuration, as --list prints them; none is all but those for --soak.

How it counts. Each check of the sources and each configuration's build is one. A C test prints TAP,
and each cmocka case in it is one; one more fails if it crashed, timed out, printed no case, ended
before its plan, or a sanitizer made it exit badly. Any other test (example, script) is one, unless
it prints TAP. What is skipped (a case; a test with exit status 77) is neither passed nor failed,
but shown. The last line is the sum over all configurations.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import configs  # noqa: E402
import guests  # noqa: E402
from configs import BUILD, ROOT  # noqa: E402

HEAD = 15  # lines of a failure's output: a sanitizer says first what is wrong,
TAIL = 40  # others say it last
TAIL_OF_SCRIPT = 1000  # a machine that hangs shows the stacks of all its threads
ROOM = 1200  # MB that a whole check takes, with what its tests write for a while
passed = 0
failed = 0
skipped = 0


def say(text):
    print(text, flush=True)


def count(name, good, bad, seconds, note=""):
    global passed, failed
    passed += good
    failed += bad
    say(f"  {name:<24} {good:>6} passed {bad:>4} failed  {seconds:>5.0f} s  {note}".rstrip())


def show_ends(text, head=HEAD, tail=TAIL):
    rows = text.rstrip().splitlines()
    if len(rows) > head + tail:
        rows[head:-tail] = [f"... ({len(rows) - head - tail} lines)"]
    for row in rows:
        say(f"    | {row}")


# --- Checks of the sources ------------------------------------------------------------------------

def gcc_build():
    return configs.all_configs()["gcc"].directory()


def source_checks():
    """Commands by name; those that need a build use that of gcc, which comes first."""
    build = str(gcc_build())
    return {
        "layers": ["tools/check-layers"],
        "headers": ["tools/check-headers"],
        "sources": ["tools/check-sources", build],
        "symbols": ["tools/check-symbols", f"{build}/src/libfreehold.so"],
        "abi": ["tools/check-abi", f"{build}/src/libfreehold.so"],
        "install": ["tools/check-install", build],
        "subproject": ["tools/check-subproject", build],
        "reference": ["ninja", "-C", build, "docs"],
        "mutants": ["tools/mutants.py", "--dry-run"],
    }


def run_source_check(name, command):
    start = time.monotonic()
    try:
        result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.STDOUT, timeout=600, check=False)
        output, good = result.stdout, result.returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        output, good = str(error), False
    count(name, int(good), int(not good), time.monotonic() - start)
    if not good:
        show_ends(output)


# --- Tests ----------------------------------------------------------------------------------------

def is_cmocka(record):
    return record.get("env", {}).get("CMOCKA_MESSAGE_OUTPUT") == "TAP"


def judge(record):
    """(passed, failed cases, skipped cases) of one test of meson's log."""
    output = record.get("stdout", "")
    cases, plan = configs.parse_tap(output)
    good = sum(1 for _, result in cases if result == "ok")
    bad = [name for name, result in cases if result == "not ok"]
    skips = [name for name, result in cases if result == "skip"]
    # Not meson's verdict: it takes a case that cmocka skips for one that failed.
    finished = record["result"] != "TIMEOUT" and record["returncode"] == 0
    how = f"{record['result'].lower()}, exit status {record['returncode']}"

    if not cases and not is_cmocka(record):
        if record["returncode"] == 77:  # as Automake and meson have it
            return 0, [], ["(all of it)"]
        return (1, [], []) if finished else (0, [f"({how})"], [])
    if not cases and plan is None:
        bad.append(f"(no case was run: {how})")
    elif plan is not None and len(cases) < plan:
        bad.append(f"(ended after {len(cases)} of {plan} cases: {how})")
    elif not finished and not bad:
        bad.append(f"(all cases passed, but: {how})")
    return good, bad, skips


def short_name(record):
    return record["name"].split(" / ")[-1]


def run_meson_test(config, log_base):
    """The records of the tests, and what meson printed."""
    directory = config.directory()
    logs = directory / "meson-logs"
    for old in logs.glob(f"{log_base}*"):
        old.unlink()
    command = ["meson", "test", "-C", str(directory), "--no-rebuild", "--logbase", log_base,
               "--num-processes", configs.JOBS, "--timeout-multiplier", str(config.timeout)]
    for suite in config.suites:
        command += ["--suite", suite]
    for suite in [] if config.suites else ["soak"]:
        command += ["--no-suite", suite]
    if config.wrapper:
        command += ["--wrapper", " ".join(config.wrapper)]
    result = subprocess.run(command, cwd=ROOT, env=config.environment(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    records = []
    for path in logs.glob(f"{log_base}*.json"):
        with open(path, encoding="utf-8") as file:
            records += [json.loads(line) for line in file if line.strip()]
    return records, result


def run_tests(config):
    global skipped
    start = time.monotonic()
    records, result = run_meson_test(config, f"check-{config.name}")
    good, bad, skips, failures = 0, 0, [], []
    for record in records:
        its_good, its_bad, its_skips = judge(record)
        good += its_good
        bad += len(its_bad)
        skips += [f"{short_name(record)}/{case}" for case in its_skips]
        if its_bad:
            failures.append((record, its_bad))
    if not records:  # no test, or meson itself failed: either way nothing was shown to work
        bad = 1
    skipped += len(skips)
    count(f"{config.name}: tests", good, bad, time.monotonic() - start,
          f"({len(skips)} skipped)" if skips else "")
    for name in skips:
        say(f"    skipped in {config.name}: {name}")
    if bad and not records:
        show_ends(result.stdout)
    for record, cases in failures:
        name = short_name(record)
        for case in cases:
            say(f"    FAILED in {config.name}: {name}/{case}")
        show_ends(record.get("stdout", ""), tail=TAIL if is_cmocka(record) else TAIL_OF_SCRIPT)
        show_ends(record.get("stderr", ""))


def fetch_guests(tests):
    """For the tests that boot them, whose output nobody sees while they run. What cannot be had
    they skip."""
    if not any(not config.suites or {"program", "soak"} & set(config.suites) for config in tests):
        return
    try:
        guests.fetch_all()
    except guests.Missing as why:
        say(f"guests: {why}; the tests that boot them are skipped")
    except (OSError, subprocess.SubprocessError) as error:
        say(f"guests: {error}")


def look_for_room():
    """What fails for want of it says so in many ways, few of them plain."""
    BUILD.mkdir(exist_ok=True)
    free = shutil.disk_usage(BUILD).free // 1000000
    if free < ROOM:
        say(f"room: {free} MB are free; a whole check from nothing takes {ROOM} MB in {BUILD.name}/")


def run_config(config):
    directory = BUILD / "check"
    directory.mkdir(parents=True, exist_ok=True)
    log_path = directory / f"{config.name}.log"
    say(f"{config.name}: {config.about}")
    start = time.monotonic()
    with open(log_path, "w", encoding="utf-8") as log:
        good = configs.set_up(config, log) and configs.build(config, log)
    if not good or not config.builds_as:
        count(f"{config.name}: build", int(good), int(not good), time.monotonic() - start)
    if good:
        run_tests(config)
    else:
        show_ends(log_path.read_text(encoding="utf-8", errors="replace"), head=0)


def main():
    parser = argparse.ArgumentParser(description="Checks and tests of Freehold.")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--soak", action="store_true", help="the tests that take long, alone")
    parser.add_argument("names", nargs="*", metavar="NAME", help="check or configuration")
    args = parser.parse_args()
    checks, tests = source_checks(), configs.all_configs()
    names = args.names or [name for name, config in tests.items() if config.long == args.soak]
    if not args.names and not args.soak:
        names += checks
    if args.list:
        print("\n".join([*tests, *checks]))
        return 0
    for name in names:
        if name not in checks and name not in tests:
            parser.error(f"no check or configuration is named {name}")

    start = time.monotonic()
    look_for_room()
    fetch_guests([config for name, config in tests.items() if name in names])
    for name, config in tests.items():
        if name in names:
            run_config(config)
    for name, command in checks.items():
        if name in names:
            run_source_check(name, command)
    if skipped:
        say(f"{skipped} skipped")
    say(f"{time.monotonic() - start:.0f} s")
    say(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
