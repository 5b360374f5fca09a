#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`freehold map`: every view is exact, and what is printed can be read again.

The maps of tests/data; random ones, whose views a naive oracle works out address by address; and
those of the folder that $FREEHOLD_MAPS names (*.json, or in *.tar.xz), by default a folder `maps`
in a sibling of the project's, if there is one.
"""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tarfile
import tempfile

PROGRAM = os.environ["FREEHOLD"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"

failures = 0


def expect(right, what):
    global failures
    if not right:
        failures += 1
        print(f"FAILED: {what}")


def run(*arguments):
    return subprocess.run([PROGRAM, "map", *map(str, arguments)], capture_output=True, text=True,
                          encoding="utf-8", check=False)


# --- Random maps ---------------------------------------------------------------------------------

CELLS = 256


def show(regions, number, addr):
    """What region `number` shows at `addr` of its own, or None: (number, offset, readonly, nv)."""
    region = regions[number]
    if region.get("enabled", True) is False or region.get("shown", True) is False or addr < 0 or addr >= int(region["size"], 16):
        return None
    seen = None
    for sub in region.get("subregions", []):
        seen = show(regions, sub, addr - int(regions[sub]["addr"], 16))
        if seen:
            break
    if not seen and region["kind"] == "alias":
        if region["alias"]["target"] is not None:
            seen = show(regions, region["alias"]["target"],
                        addr + int(region["alias"]["offset"], 16))
    elif not seen and region["kind"] != "container":
        seen = (number, addr, region["kind"] == "rom", False)
    if not seen:
        return None
    return (seen[0], seen[1], seen[2] or region.get("readonly", False),
            seen[3] or region.get("nonvolatile", False))


def shown_as(region, readonly):
    if region["kind"] == "iommu":
        return "iommu"
    if readonly:
        return "reservation" if region["kind"] == "reservation" else "rom"
    if region["kind"] == "mmio" or region.get("rom_mode") is False:
        return "i/o"
    return region["kind"]


def flat_of(regions, root):
    ranges = []
    for addr in range(CELLS):
        seen = show(regions, root, addr)
        if not seen:
            continue
        number, offset, readonly, nonvolatile = seen
        before = ranges[-1] if ranges else None
        if before and before["key"] == (number, readonly, nonvolatile) and \
                before["last"] == addr - 1 and \
                before["offset"] + addr - before["first"] == offset and \
                not regions[number].get("unmergeable"):
            before["last"] = addr
            continue
        ranges.append({"key": (number, readonly, nonvolatile), "first": addr, "last": addr,
                       "offset": offset})
    flat = []
    for entry in ranges:
        number, readonly, nonvolatile = entry["key"]
        flat.append({"first": hex(entry["first"]), "last": hex(entry["last"]), "region": number,
                     "offset": hex(entry["offset"]),
                     "as": shown_as(regions[number], readonly)})
        if nonvolatile:
            flat[-1]["nonvolatile"] = True
    return flat


def random_region(draw, number, count):
    kind = draw.choice(["container"] * 4 + ["alias"] * 4 +
                       ["mmio", "mmio", "ram", "rom", "romd", "ramd", "reservation", "iommu"])
    region = {"name": f"{kind}{number}", "kind": kind, "addr": hex(draw.randrange(CELLS)),
              "size": hex(draw.choice([draw.randrange(1, CELLS), 1 << 64]) if kind in
                          ("container", "alias", "mmio") else draw.randrange(1, CELLS))}
    if draw.random() < 0.5:
        region["priority"] = draw.choice([-2, -1, 1, 2])
    for switch in "enabled", "shown":
        if draw.random() < 0.1:
            region[switch] = False
    if draw.random() < 0.3:
        region[draw.choice(["owner", "parent"])] = {"path": f"/card{number}"}
    for switch in "readonly", "nonvolatile":
        if draw.random() < 0.1:
            region[switch] = True
    if kind == "romd" and draw.random() < 0.5:
        region["rom_mode"] = False
    if kind == "alias":
        # Only regions with greater numbers: no cycles.
        target = draw.randrange(number + 1, count) if number + 1 < count else None
        region["alias"] = {"target": target, "offset": hex(draw.randrange(CELLS))}
    return region


def random_map(draw):
    count = draw.randrange(2, 40)
    regions = [random_region(draw, number, count) for number in range(count)]
    if regions[0]["kind"] == "reservation":
        regions[0] = {"name": "root", "kind": "container", "addr": "0x0", "size": hex(1 << 64)}
    for number in range(1, count):
        parents = [i for i in range(number) if regions[i]["kind"] != "reservation"]
        if draw.random() < 0.9:
            regions[draw.choice(parents)].setdefault("subregions", []).append(number)
    for region in regions:
        region.get("subregions", []).sort(key=lambda sub: -regions[sub].get("priority", 0))
    roots = sorted({0, draw.randrange(count), draw.randrange(count)})
    for root in roots:
        regions[root]["size"] = hex(draw.randrange(1, CELLS + 1))
    return {"regions": regions,
            "spaces": [{"name": f"space{root}", "root": root, "flat": flat_of(regions, root)}
                       for root in roots]}


# --- What holds for every map --------------------------------------------------------------------


def check_round_trip(path):
    """Printed as JSON it says what the file said; printed once more, the same bytes."""
    printed = run("--json", path)
    expect(printed.returncode == 0, f"{path.name}: --json: {printed.stderr}")
    if printed.returncode:
        return
    source = path.read_text(encoding="utf-8")
    expect(json.loads(printed.stdout) == json.loads(source), f"{path.name}: --json loses something")
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as again:
        again.write(printed.stdout)
        again.flush()
        expect(run("--json", again.name).stdout == printed.stdout,
               f"{path.name}: --json of --json differs")


def check_all(paths, what):
    result = run("--check", *paths)
    last = result.stdout.splitlines()[-1] if result.stdout else ""
    count = sum(len(json.loads(path.read_text(encoding="utf-8"))["spaces"]) for path in paths)
    expect(last == f"{count} spaces exact, 0 differ" and result.returncode == 0,
           f"{what}: {last}\n{result.stdout[:2000]}{result.stderr[:2000]}")
    print(f"{what}: {len(paths)} maps: {last}")


def check_text(path):
    """Every range is a line of --flat, every region one of --tree."""
    described = json.loads(path.read_text(encoding="utf-8"))
    flat, tree = run("--flat", path), run("--tree", "-D", path)
    expect(flat.returncode == 0 and tree.returncode == 0, f"{path.name}: cannot be printed")
    roots = {space["root"]: len(space["flat"]) for space in described["spaces"]}
    line = re.compile(r"^ +[0-9a-f]{16}-[0-9a-f]{16} \(prio ", re.MULTILINE)
    expect(len(line.findall(flat.stdout)) == sum(roots.values()),
           f"{path.name}: --flat has another number of lines")
    expect(len(line.findall(tree.stdout)) >= len(described["regions"]),
           f"{path.name}: --tree leaves regions out")


def check_differences(path):
    """A range that is changed, missing or one too many is found, in its space alone."""
    for number, change in enumerate((lambda flat: flat[1].update(offset="0x123"),
                                     lambda flat: flat.pop(),
                                     lambda flat: flat.append(dict(flat[0])),
                                     lambda flat: flat[0].update(nonvolatile=True))):
        described = json.loads(path.read_text(encoding="utf-8"))
        change(described["spaces"][0]["flat"])
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as changed:
            json.dump(described, changed)
            changed.flush()
            result = run("--check", changed.name)
        lines = result.stdout.splitlines()
        expect(result.returncode == 1 and len(lines) == 2 and "spaces[0]" in lines[0] and
               lines[1] == f"{len(described['spaces']) - 1} spaces exact, 1 differ",
               f"change {number} is not told: {result.stdout}")


def check_expected(path):
    """What people read is as it was when somebody looked at it."""
    for mode in "flat", "tree":
        expected = path.with_suffix("." + mode)
        if expected.exists():
            expect(run("--" + mode, "-D", path).stdout == expected.read_text(encoding="utf-8"),
                   f"{expected.name} is printed otherwise")


# --- The maps ------------------------------------------------------------------------------------


def unpack(archive, folder):
    with tarfile.open(archive) as files:
        for member in files:
            if member.isfile() and member.name.endswith(".json"):
                path = folder / f"{archive.stem}-{pathlib.Path(member.name).name}"
                path.write_bytes(files.extractfile(member).read())
                yield path


def more_maps(folder):
    named = os.environ.get("FREEHOLD_MAPS")
    places = [pathlib.Path(named)] if named else sorted(ROOT.parent.glob("*/maps"))
    for place in places:
        if named or not place.is_relative_to(ROOT):
            yield from sorted(place.glob("*.json"))
            for archive in sorted(place.glob("*.tar.xz")):
                yield from unpack(archive, folder)


def main():
    own = sorted(DATA.glob("*.json"))
    expect(len(own) >= 6, "the project's own maps are missing")
    check_all(own, "own")
    for path in own:
        check_round_trip(path)
        check_text(path)
        check_expected(path)
    check_differences(DATA / "pc.json")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        draw = random.Random(1)
        drawn = []
        for number in range(100):
            drawn.append(folder / f"random{number}.json")
            drawn[-1].write_text(json.dumps(random_map(draw)), encoding="utf-8")
        check_all(drawn, "random")
        for path in drawn:
            check_round_trip(path)
        more = list(more_maps(folder))
        if more:
            check_all(more, "more")
        for path in more:
            check_round_trip(path)
        for path in more[::20]:
            check_text(path)
    print(f"{failures} failures")
    return 1 if failures else 0


sys.exit(main())
