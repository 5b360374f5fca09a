#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`freehold map --diff`: what is told of two maps is all that differs, and nothing else.

Known changes, each to the line; and random pairs of maps, where the lines are held to views that
are cut address by address.
"""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

PROGRAM = os.environ["FREEHOLD"]
failures = 0
folder = None


def expect(right, what):
    global failures
    if not right:
        failures += 1
        print(f"FAILED: {what}")


def run(*arguments, **options):
    return subprocess.run([PROGRAM, "map", *map(str, arguments)], stdout=options.get("stdout", -1),
                          stderr=subprocess.PIPE, text=True, encoding="utf-8", check=False)


def write(name, content):
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def region(name, addr, size, kind="mmio", **others):
    return {"name": name, "kind": kind, "addr": hex(addr), "size": hex(size), **others}


def one(*regions, space="memory", **others):
    """The first region given is the topmost."""
    root = region("root", 0, 1 << 64, "container", subregions=list(range(1, len(regions) + 1)))
    return {"regions": [root, *regions], "spaces": [{"name": space, "root": 0, **others}]}


def span(first, last):
    return f"{first:016x}-{last:016x}"


# --- Known changes -------------------------------------------------------------------------------

UART = region("uart", 0x100, 0x10)
DRAM = region("dram", 0x1000, 0x1000, "ram")
FLASH = region("flash", 0x8000, 0x1000, "romd")
SLOTS = region("slots", 0x100, 0x200)
CARD = {"path": "/card", "device": True}
OTHER = {"path": "/other", "device": True}

KNOWN = [
    ("nothing", one(UART, DRAM), one(UART, DRAM), []),
    ("another tree that shows the same", one(UART, DRAM),
     one(DRAM, region("off", 0, 0x5000, enabled=False), UART), []),
    ("a region is new", one(DRAM), one(DRAM, UART),
     [f"appeared {span(0x100, 0x10f)} (i/o): uart"]),
    ("a region is gone", one(DRAM, UART), one(DRAM), [f"went {span(0x100, 0x10f)} (i/o): uart"]),
    ("a move", one(UART, DRAM), one(dict(UART, addr="0x300"), DRAM),
     [f"moved {span(0x100, 0x10f)} to {span(0x300, 0x30f)} (i/o): uart"]),
    ("a move to where it overlaps itself", one(DRAM), one(dict(DRAM, addr="0x1800")),
     [f"moved {span(0x1000, 0x1fff)} to {span(0x1800, 0x27ff)} (ram): dram"]),
    ("a move onto another", one(UART, DRAM), one(dict(UART, addr="0x1100"), DRAM),
     [f"went {span(0x1100, 0x110f)} (ram): dram @{0x100:016x}",
      f"moved {span(0x100, 0x10f)} to {span(0x1100, 0x110f)} (i/o): uart"]),
    ("two that change places", one(UART, region("rtc", 0x200, 0x10)),
     one(dict(UART, addr="0x200"), region("rtc", 0x100, 0x10)),
     [f"moved {span(0x200, 0x20f)} to {span(0x100, 0x10f)} (i/o): rtc",
      f"moved {span(0x100, 0x10f)} to {span(0x200, 0x20f)} (i/o): uart"]),
    ("a mode", one(FLASH), one(dict(FLASH, rom_mode=False)),
     [f"changed {span(0x8000, 0x8fff)} (romd): flash to (i/o): flash"]),
    ("read-only", one(DRAM), one(dict(DRAM, readonly=True)),
     [f"changed {span(0x1000, 0x1fff)} (ram): dram to (rom): dram"]),
    ("non-volatile", one(DRAM), one(dict(DRAM, nonvolatile=True)),
     [f"changed {span(0x1000, 0x1fff)} (ram): dram to (nv-ram): dram"]),
    ("what is on top", one(UART, region("rtc", 0x108, 0x10)),
     one(region("rtc", 0x108, 0x10), UART),
     [f"changed {span(0x108, 0x10f)} (i/o): uart @{8:016x} to (i/o): rtc"]),
    ("a priority that hides nothing", one(UART), one(dict(UART, priority=3)), []),
    ("a hole in the middle", one(DRAM), one(region("uart", 0x1400, 0x10), DRAM),
     [f"changed {span(0x1400, 0x140f)} (ram): dram @{0x400:016x} to (i/o): uart"]),
    ("another size", one(UART), one(dict(UART, size="0x18")),
     [f"appeared {span(0x110, 0x117)} (i/o): uart @{0x10:016x}"]),
    ("an offset", one(region("w", 0, 0x10, "alias", alias={"target": 2, "offset": "0x0"}),
                      region("dram", 0x100000, 0x100, "ram")),
     one(region("w", 0, 0x10, "alias", alias={"target": 2, "offset": "0x20"}),
         region("dram", 0x100000, 0x100, "ram")),
     [f"changed {span(0, 0xf)} (ram): dram to (ram): dram @{0x20:016x}"]),
    ("a name", one(UART), one(dict(UART, name="tty")),
     [f"changed {span(0x100, 0x10f)} (i/o): uart to (i/o): tty"]),
    ("whose it is", one(dict(UART, owner=CARD)), one(dict(UART, owner=OTHER)),
     [f"changed {span(0x100, 0x10f)} (i/o): uart to (i/o): uart"]),
    ("the top of the space", one(region("top", (1 << 64) - 16, 16)), one(),
     [f"went {span((1 << 64) - 16, (1 << 64) - 1)} (i/o): top"]),
]


def halves(**marks):
    """`slots` through two windows side by side."""
    return one(*(region(f"w{i}", 0x1000 + 0x100 * i, 0x100, "alias",
                        alias={"target": 3, "offset": hex(0x100 * i)}) for i in range(2)),
               dict(SLOTS, addr="0x100000", **marks))


KNOWN += [
    ("a range in two", halves(), halves(unmergeable=True),
     [f"split at {0x1100:016x} (i/o): slots @{0x100:016x}"]),
    ("two ranges in one", halves(unmergeable=True), halves(),
     [f"joined at {0x1100:016x} (i/o): slots @{0x100:016x}"]),
]


def check_known():
    for what, old, new, lines in KNOWN:
        result = run("--diff", write("old.json", old), write("new.json", new))
        wanted = "".join(f"memory: {line}\n" for line in lines)
        expect(result.stdout == wanted and result.returncode == (1 if lines else 0) and
               not result.stderr,
               f"{what}: exit status {result.returncode}\n{result.stdout}{result.stderr}not\n"
               f"{wanted}")


def check_spaces():
    both = one(UART)
    both["spaces"] = [{"name": "a", "root": 0}, {"name": "b", "root": 1}, {"name": "b", "root": 0}]
    other = one(UART)
    other["spaces"] = [{"name": "c", "root": 0}, {"name": "b", "root": 1}]
    result = run("--diff", write("old.json", both), write("new.json", other))
    expect(result.stdout.splitlines() ==
           ["a: gone space", f"a: went {span(0x100, 0x10f)} (i/o): uart",
            "b: gone space", f"b: went {span(0x100, 0x10f)} (i/o): uart",
            "c: new space", f"c: appeared {span(0x100, 0x10f)} (i/o): uart"] and
           result.returncode == 1, f"spaces: {result.stdout}")


def check_trouble():
    good = write("good.json", one(UART))
    bad = write("bad.json", {"regions": 7})
    for arguments in ((good, folder / "none.json"), (bad, good), (good,), (good, good, good),
                      (good, good, "--flat"), ("--hlep", good, good)):
        result = run("--diff", *arguments)
        expect(result.returncode == 2 and not result.stdout and
               result.stderr.startswith("freehold: "),
               f"{arguments}: {result.returncode} {result.stdout}{result.stderr}")
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = run("--diff", good, write("empty.json", one()), stdout=full)
    expect(result.returncode == 2 and result.stderr.count("\n") == 1, "a full disk is no trouble")


# --- Random maps ---------------------------------------------------------------------------------

CELLS = 128
LINE = re.compile(r"memory: (\w+) (?:at )?([0-9a-f]{16})(?:-([0-9a-f]{16}))?"
                  r"(?: to ([0-9a-f]{16})-([0-9a-f]{16}))?")


def random_pair(draw):
    regions = [region(f"r{i % 6}", draw.randrange(CELLS), draw.randrange(1, CELLS // 2),
                      draw.choice(["mmio", "ram", "rom", "romd"])) for i in range(12)]
    changed = [dict(item) for item in regions]
    for item in draw.sample(changed, draw.randrange(4)):
        item.update(draw.choice([{"addr": hex(draw.randrange(CELLS))}, {"enabled": False},
                                 {"readonly": True}, {"unmergeable": True},
                                 {"size": hex(draw.randrange(1, CELLS // 2))}]))
    return one(*regions), one(*changed)


def cells(path):
    """By address: what shows there; and where ranges begin."""
    described = json.loads(run("--json", path).stdout)
    shown, edges = {}, set()
    for entry in described["spaces"][0]["flat"]:
        first, last = int(entry["first"], 16), int(entry["last"], 16)
        edges.add(first)
        for addr in range(first, last + 1):
            shown[addr] = (described["regions"][entry["region"]]["name"],
                           int(entry["offset"], 16) + addr - first, entry["as"])
    return shown, edges


def check_pair(number, draw):
    old, new = random_pair(draw)
    old_path, new_path = write("old.json", old), write("new.json", new)
    (was, old_edges), (now, new_edges) = cells(old_path), cells(new_path)
    result = run("--diff", old_path, new_path)
    left, entered = dict(was), {}
    said_edges = set()
    for line in result.stdout.splitlines():
        match = LINE.match(line)
        expect(match, f"random {number}: {line}")
        what, *numbers = match.groups()
        first, last, to_first, to_last = (int(n, 16) if n else None for n in numbers)
        if what in ("split", "joined"):
            said_edges.add(first)
            continue
        gone = range(first, last + 1) if what != "appeared" else ()
        come = range(first, last + 1) if what in ("appeared", "changed") else \
            range(to_first, to_last + 1) if what == "moved" else ()
        expect(what != "moved" or [was.get(addr) for addr in gone] ==
               [now.get(addr) for addr in come], f"random {number}: no move: {line}")
        for addr in gone:
            expect(left.pop(addr, None), f"random {number}: not there or told twice: {line}")
        for addr in come:
            expect(addr in now and addr not in entered,
                   f"random {number}: not there or told twice: {line}")
            entered[addr] = now.get(addr)
    expect({**left, **entered} == now and not left.keys() & entered.keys(),
           f"random {number}: the lines do not make the one of the other\n{result.stdout}")
    same = {addr for addr in now if was.get(addr) == now[addr] and
            was.get(addr - 1) == now.get(addr - 1) is not None}
    expect(said_edges == (old_edges ^ new_edges) & same, f"random {number}: edges {result.stdout}")
    expect(result.returncode == (1 if result.stdout else 0), f"random {number}: exit status")


def main():
    global folder
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        check_known()
        check_spaces()
        check_trouble()
        draw = random.Random(3)
        for number in range(150):
            check_pair(number, draw)
    print(f"{len(KNOWN)} known changes, 150 random ones, {failures} failures")
    return 1 if failures else 0


sys.exit(main())
