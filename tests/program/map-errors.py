#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`freehold map` and files that are damaged, huge, endless or very deep.

Whatever is wrong, there is one line that names the file and the place in it, and exit status 1.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM = os.environ["FREEHOLD"]
ALL = "0x10000000000000000"
DEPTH = 100_000

failures = 0


def expect(right, what):
    global failures
    if not right:
        failures += 1
        print(f"FAILED: {what}")


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          errors="replace", timeout=300, check=False)


def region(kind="container", **others):
    return {"name": "r", "kind": kind, "addr": "0x0", "size": "0x1000", **others}


def alias(target, offset="0x0", **others):
    return region("alias", alias={"target": target, "offset": offset}, **others)


def one(*regions, **space):
    return {"regions": list(regions),
            "spaces": [{"name": "s", "root": 0, "flat": [], **space}]}


def ranged(**changes):
    return one(region("mmio"), flat=[{"first": "0x0", "last": "0xfff", "region": 0,
                                      "offset": "0x0", "as": "i/o", **changes}])


def bomb(levels):
    """Every level shows the next one twice."""
    regions = []
    for i in range(0, 3 * levels, 3):
        regions += [region(subregions=[i + 1, i + 2]), alias(i + 3, size="0x800"),
                    alias(i + 3, size="0x800", addr="0x800")]
    return one(*regions, region("mmio"))


# What is in the file, and what the line must name.
BROKEN = [
    ("", "line 1"),
    ("{\"regions\": [", "line 1"),
    ("{\n\n \"regions\": nonsense}", "line 3"),
    ("[1, 2]", "map"),
    ("\x00\x01\x02", "line 1"),
    ("{\"origin\": \"\x1b[31m\"}", "line 1"),
    ("[" * 100_000, "maximum"),
    ("{\"regions\": [], \"regions\": [], \"spaces\": []}", "duplicate"),
    ("[" + "0," * (17 << 20) + "0]", "million values"),
    ({"spaces": []}, "map.regions"),
    ({"regions": []}, "map.spaces"),
    ({"regions": {}, "spaces": []}, "map.regions"),
    ({"regions": [], "spaces": [], "extra": 1}, "extra"),
    (one(None), "regions[0]"),
    (one(region(), region(size=4096)), "regions[1].size"),
    (one(region(size="4096")), "regions[0].size"),
    (one(region(size="0x")), "regions[0].size"),
    (one(region(size="0x10000000000000001")), "regions[0].size"),
    (one(region(size="0x" + "f" * 1000)), "regions[0].size"),
    (one(region(size="0xffffffffffffffff")), "regions[0].size"),
    (one(region(addr=ALL)), "regions[0].addr"),
    (one(region(addr="-0x1")), "regions[0].addr"),
    (one(region(kind="blob")), "regions[0].kind"),
    (one(region(name=None)), "regions[0].name"),
    (one(region(priority=1 << 31)), "regions[0].priority"),
    (one(region(priority=0.5)), "regions[0].priority"),
    (one(region(enabled=1)), "regions[0].enabled"),
    (one(region(enabeld=True)), "enabeld"),
    (one(region(rom_mode=True)), "regions[0].rom_mode"),
    (one(region(subregions={})), "regions[0].subregions"),
    (one(region(subregions=[1])), "regions[0].subregions[0]"),
    (one(region(subregions=[-1])), "regions[0].subregions[0]"),
    (one(region(subregions=["1"]), region()), "regions[0].subregions[0]"),
    (one(region(subregions=[1, 1]), region()), "regions[0].subregions[1]"),
    (one(region(subregions=[2]), region(subregions=[2]), region()), "regions[1].subregions[0]"),
    (one(region("alias")), "regions[0].alias"),
    (one(region(alias={"target": None, "offset": "0x0"})), "regions[0].alias"),
    (one(alias(7)), "regions[0].alias.target"),
    (one(alias(None, subregions=[0])), "regions[0]"),
    (one(region(owner={"path": 1})), "regions[0].owner.path"),
    (one(region(owner={"path": "/a", "name": "b"})), "regions[0].owner"),
    (one(region(owner={"path": "/a"}, parent={"path": "/b"})), "regions[0].parent"),
    (one(region(parent=[])), "regions[0].parent"),
    (one(region(shown="no")), "regions[0].shown"),
    (one(alias(0)), "regions[0]"),
    (one(region(subregions=[0])), "regions[0]"),
    (one(region(subregions=[1]), region(subregions=[0])), "regions[0]"),
    (one(region(subregions=[1]), alias(0, "0x400", size="0x800")), "1 > 1"),
    (one(region("mmio", subregions=[1]), alias(0, "0x800", size="0x800")), "0 > 1 > 0"),
    (one(*(alias((i + 1) % DEPTH) for i in range(DEPTH))), "> ..."),
    (bomb(60), "spaces[0]"),
    (one(region("romd", size=ALL)), "regions[0]"),
    (one(region(), root=5), "spaces[0].root"),
    (one(region(), flat=7), "spaces[0].flat"),
    (ranged(first="0x1000"), "spaces[0].flat[0].last"),
    (ranged(region=1), "spaces[0].flat[0].region"),
    (ranged(offset=0), "spaces[0].flat[0].offset"),
    ({"regions": [region()], "spaces": [{"name": "s", "root": 0}]}, "spaces[0].flat"),
    ({"regions": [region()], "spaces": [{"name": "s", "root": 0}, {}]}, "spaces[1].name"),
]


def deep(step):
    """A chain of DEPTH regions, each of which shows the next one."""
    regions = [step(i + 1) for i in range(DEPTH - 1)] + [region("mmio")]
    return one(*regions, flat=[{"first": "0x0", "last": "0xfff", "region": DEPTH - 1,
                                "offset": "0x0", "as": "i/o"}])


# What works, however odd.
SOUND = [
    {"regions": [], "spaces": []},
    one(region("mmio"), root=None),
    bomb(5) | {"spaces": []},
    one(alias(None, subregions=[1]), region("mmio"),
        flat=[{"first": "0x0", "last": "0xfff", "region": 1, "offset": "0x0", "as": "i/o"}]),
    one(region(subregions=[1]), region("mmio", shown=False, owner={"path": "/x", "device": True})),
    one(region("romd", size="0x0"), parent={"path": "/x"}),
    deep(lambda following: region(subregions=[following], size=ALL)),
    deep(lambda following: alias(following, size=ALL)),
    one(region("ram", size=ALL), flat=[{"first": "0x0", "last": "0xffffffffffffffff", "region": 0,
                                        "offset": "0x0", "as": "ram"}]),
    one(region("rom", size="0x1000000000000000"),
        flat=[{"first": "0x0", "last": "0xfffffffffffffff", "region": 0, "offset": "0x0",
               "as": "rom"}]),
]


def is_one_line(result, *words):
    lines = result.stderr.splitlines()
    return result.returncode == 1 and len(lines) == 1 and lines[0].startswith("freehold: ") and \
        all(word in lines[0] for word in words) and lines[0].isprintable()


def check_files(folder):
    path = folder / "map.json"
    for content, place in BROKEN:
        path.write_text(content if isinstance(content, str) else json.dumps(content),
                        encoding="utf-8")
        result = run("map", "--check", path)
        expect(is_one_line(result, str(path), place) and
               result.stdout == "0 spaces exact, 0 differ\n",
               f"{str(content)[:200]}: {result.returncode} {result.stderr[:500]}")
    for content in SOUND:
        path.write_text(json.dumps(content), encoding="utf-8")
        for mode in "--check", "--flat", "--json", "--tree":
            result = run("map", mode, path)
            expect(result.returncode == 0 and not result.stderr,
                   f"{str(content)[:200]}: {mode}: {result.returncode} {result.stderr[:500]} "
                   f"{result.stdout[-200:]}")


def check_what_is_no_file(folder):
    large = folder / "large.json"
    with large.open("wb") as file:
        file.truncate(300 << 20)
    for path, reason in ((large, "256 MiB"), (folder / "none.json", "No such file"),
                         (folder, "directory"), ("/dev/zero", "256 MiB"), ("/dev/null", "line 1")):
        result = run("map", path)
        expect(is_one_line(result, str(path), reason), f"{path}: {result.stderr[:500]}")
    # One that cannot be read does not keep the others from being checked.
    good = folder / "good.json"
    good.write_text(json.dumps(one(region())), encoding="utf-8")
    result = run("map", "--check", good, folder / "none.json", good)
    expect(is_one_line(result, "none.json") and result.stdout == "2 spaces exact, 0 differ\n",
           f"several files: {result.stdout} {result.stderr}")


def check_command_line():
    for arguments, word in (((), "command"), (("mpa",), "mpa"), (("--hlep",), "--hlep"),
                            (("map",), "file"), (("map", "--falt", "x"), "--falt"),
                            (("map", "--flat", "--tree", "x"), "--tree"),
                            (("map", "x", "y"), "one file"),
                            (("torture", "--seconds"), "--seconds"),
                            (("torture", "--seconds", "0"), "0"),
                            (("torture", "--seconds", "1x"), "1x"),
                            (("torture", "--threads", "-1"), "-1"),
                            (("torture", "--sede", "1"), "--sede")):
        result = run(*arguments)
        expect(is_one_line(result, word) and not result.stdout, f"{arguments}: {result.stderr}")
    for arguments in ("--help",), ("--version",), ("map", "--help"), ("torture", "--help"):
        result = run(*arguments)
        expect(result.returncode == 0 and result.stdout and not result.stderr,
               f"{arguments}: {result.stderr}")
    with open("/dev/full", "w", encoding="utf-8") as full:
        status = subprocess.run([PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE,
                                check=False)
    expect(status.returncode == 1 and b"cannot write" in status.stderr, "a full disk is no failure")


def main():
    with tempfile.TemporaryDirectory() as name:
        check_files(pathlib.Path(name))
        check_what_is_no_file(pathlib.Path(name))
    check_command_line()
    print(f"{len(BROKEN)} broken files, {len(SOUND)} sound ones, {failures} failures")
    return 1 if failures else 0


sys.exit(main())
