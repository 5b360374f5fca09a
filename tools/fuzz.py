#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the fuzz targets: `make fuzz`.

    tools/fuzz.py [NAME...]

Each target of tests/fuzz (or those named) is built with clang's libFuzzer, AddressSanitizer and
UndefinedBehaviorSanitizer and runs for FUZZ_SECONDS (60), from its corpus on. New inputs that get
somewhere are kept in build/fuzz/NAME, for the next run; what makes a target fail is written to
build/fuzz/NAME-crash-..., and the exit status is 1.
"""

import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
import configs  # noqa: E402
from configs import BUILD, ROOT  # noqa: E402

# Not pointer-overflow: clang means by it also a null pointer plus 0, of which empty arrays are made.
CONFIG = configs.Config("fuzz", "libFuzzer", compiler="clang", env=configs.ASAN_ENV, options=[
    "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
    "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize=pointer-overflow"])
FOLDER = ROOT / "tests" / "fuzz"


def all_targets():
    return sorted(path.stem for path in FOLDER.glob("*.c") if path.stem != "replay")


def run(name, seconds):
    """True if nothing was found."""
    found = BUILD / "fuzz" / name
    found.mkdir(parents=True, exist_ok=True)
    command = [CONFIG.directory() / "tests" / f"fuzz-{name}", f"-max_total_time={seconds}",
               "-timeout=30", "-rss_limit_mb=3000", "-max_len=4096", "-print_final_stats=1",
               f"-artifact_prefix={found}-", found]
    corpus = FOLDER / "corpus" / name
    command += [corpus] if corpus.is_dir() else []
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            errors="replace", env=CONFIG.environment(), check=False)
    rows = result.stderr.splitlines()
    runs = re.search(r"stat::number_of_executed_units: (\d+)", result.stderr)
    cover = re.findall(r"cov: (\d+)", result.stderr)
    print(f"{name:<20} {runs.group(1) if runs else '?':>10} runs, {cover[-1] if cover else '?':>6} "
          f"edges, {'nothing found' if result.returncode == 0 else 'FAILED'}", flush=True)
    if result.returncode != 0:
        print("\n".join(f"    | {row}" for row in rows[-60:]))
    return result.returncode == 0


def main():
    names = sys.argv[1:] or all_targets()
    unknown = sorted(set(names) - set(all_targets()))
    if unknown:
        sys.exit(f"there is no tests/fuzz/{unknown[0]}.c")
    log_path = BUILD / "fuzz.log"
    BUILD.mkdir(exist_ok=True)
    with open(log_path, "w", encoding="utf-8") as log:
        if not configs.set_up(CONFIG, log) or \
                not configs.build(CONFIG, log, targets=[f"tests/fuzz-{name}" for name in names]):
            sys.exit(log_path.read_text(encoding="utf-8") + "\nfuzz: cannot be built")
    seconds = os.environ.get("FUZZ_SECONDS") or "60"
    return 0 if all([run(name, seconds) for name in names]) else 1


if __name__ == "__main__":
    sys.exit(main())
