#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`freehold map --svg`: the picture is XML, always the same, and says what the views say.

What is read back from the picture: each range of each view is there, with its name; what the layers
show as seen is, line by line, what the view shows; nothing lies over anything else of its column;
labels lie within their boxes.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

PROGRAM = os.environ["FREEHOLD"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
failures = 0


def expect(right, what):
    global failures
    if not right:
        failures += 1
        print(f"FAILED: {what}")
    return right


def run(*arguments):
    return subprocess.run([PROGRAM, "map", *map(str, arguments)], capture_output=True, check=False)


def region(name, addr, size, kind="mmio", **others):
    return {"name": name, "kind": kind, "addr": hex(addr), "size": hex(size), **others}


def one(*regions, size=1 << 64):
    root = region("root", 0, size, "container", subregions=list(range(1, len(regions) + 1)))
    return {"regions": [root, *regions], "spaces": [{"name": "memory", "root": 0}]}


def boxes_of(group):
    for rect in group.findall(f"{SVG}rect"):
        yield (rect.get("class").split(), int(rect.get("x")), int(rect.get("y")),
               int(rect.get("width")), int(rect.get("height")))


def check_label(text, boxes, what):
    """Within one of the boxes, by what a monospaced font takes."""
    x, y, font = int(text.get("x")), int(text.get("y")), int(text.get("font-size"))
    width = len(text.text or "") * font * 0.602
    if text.get("text-anchor") == "end":
        x -= width
    expect(any(left <= x and x + width <= left + wide + 1 and top <= y - font * 0.75 and
               y <= top + high for _, left, top, wide, high in boxes),
           f"{what}: the label '{text.text}' leaves its box")


def check_columns(boxes, what):
    columns = {}
    for classes, x, y, _, height in boxes:
        if "hatch" not in classes:
            columns.setdefault(x, []).append((y, y + height))
    for rows in columns.values():
        rows.sort()
        expect(all(a[1] <= b[0] for a, b in zip(rows, rows[1:])), f"{what}: boxes overlap")


def check_picture(described, picture, what):
    """`described` is what --json prints."""
    root = ElementTree.fromstring(picture)
    views, seen, boxes, titles = {}, {}, [], []
    for group in root.iter(f"{SVG}g"):
        if group.get("class") not in ("view", "piece"):
            continue
        mine = list(boxes_of(group))
        boxes += mine
        for classes, _, y, _, height in mine:
            if "pale" in classes or "hatch" in classes:
                continue
            lines = views if group.get("class") == "view" else seen
            for line in range(y, y + height):
                expect(line not in lines, f"{what}: shown twice")
                lines[line] = classes[0]
        for text in group.iter(f"{SVG}text"):
            check_label(text, mine, what)
        if group.get("class") == "view":
            titles.append(group.find(f"{SVG}title").text.split("\n")[1].split(" ")[0])
            name = group.find(f"{SVG}text").text
            full = group.find(f"{SVG}title").text.split("\n")[0]
            expect(name.split(" @")[0].rstrip("\u2026") == full[:len(name.split(" @")[0].rstrip(
                "\u2026"))], f"{what}: {name} is labelled {full}")
    check_columns(boxes, what)
    expect(views == seen, f"{what}: the layers do not show what the view shows")
    wanted = set()
    for space in described["spaces"]:
        wanted |= {f"{int(entry['first'], 16):016x}-{int(entry['last'], 16):016x}"
                   for entry in space["flat"]}
    expect(set(titles) == wanted, f"{what}: ranges are missing")
    return root


def check_file(path):
    first, second = run("--svg", "-", path), run("--svg", "-", path)
    if expect(first.returncode == 0, f"{path.name}: {first.stderr.decode()}"):
        expect(first.stdout == second.stdout, f"{path.name}: is not always the same")
        return check_picture(json.loads(run("--json", path).stdout), first.stdout, path.name)
    return None


def write(folder, name, content):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def random_map(draw):
    kinds = ["mmio", "ram", "rom", "romd", "ramd", "container", "alias", "reservation",
             "iommu"]
    regions = []
    for i in range(1, 16):
        kind = draw.choice(kinds)
        item = region(f"{kind}{i}", draw.randrange(0x100), draw.randrange(1, 0x100), kind)
        if kind == "alias":
            target = draw.randrange(i + 1, 17) if i < 15 else None
            item["alias"] = {"target": target if target and target < 16 else None,
                             "offset": hex(draw.randrange(0x40))}
        for mark in "readonly", "nonvolatile", "unmergeable":
            if draw.random() < 0.1:
                item[mark] = True
        if draw.random() < 0.2:
            item["priority"] = draw.randrange(-1, 3)
        regions.append(item)
    top = one(*regions)
    top["regions"][0]["subregions"] = []
    for i in range(1, 16):
        above = draw.choice([0] * 4 + list(range(i)))
        top["regions"][above].setdefault("subregions", []).append(i)
    for item in top["regions"]:
        item.get("subregions", []).sort(key=lambda n: -top["regions"][n].get("priority", 0))
    return top


def check_large(folder):
    """2,000 ranges, some of them hidden, with names longer than there is room."""
    regions = [region(f"device number {i} of a very great many of them", i << 13, 0x1000)
               for i in range(1990)]
    regions += [region("ram", 0, 1990 << 13, "ram")]
    path = write(folder, "large", one(*regions))
    root = check_file(path)
    fonts = {int(text.get("font-size")) for text in root.iter(f"{SVG}text")
             if text.get("font-size")}
    expect(min(fonts) >= 10, "the letters are too small")
    lines = [text.text for text in root.iter(f"{SVG}text")
             if (text.text or "").startswith("device number 1234 ")]
    expect(lines, "a name is not there")


def check_names(folder):
    hostile = "<a href='x'>&\"]]>\u0001\u001b\uffff\ud83d\ude00 and so on until there is no room"
    content = one(region(hostile, 0, 0x100), region("", 0x1000, 0x100))
    content["origin"] = hostile
    root = check_file(write(folder, "names", content))
    expect(any((title.text or "").startswith("<a href='x'>&\"]]>???\U0001f600 and so on until")
               for title in root.iter(f"{SVG}title")), "a name is not whole in its tooltip")


def check_options(folder):
    content = one(region("uart", 0, 0x100))
    content["spaces"].append({"name": "card", "root": 1})
    content["spaces"].append({"name": "none", "root": None})
    path, out = write(folder, "spaces", content), folder / "out.svg"
    result = run("--svg", out, path, "--space", "card")
    root = ElementTree.parse(out).getroot()
    expect(result.returncode == 0 and not result.stdout and
           sum(group.get("class") == "view" for group in root.iter(f"{SVG}g")) == 1,
           "--space draws that space alone")
    expect(run("--svg", "-", "--space", "none", path).returncode == 0, "an empty space is drawn")
    for arguments, word in (((out, path, "--space", "gone"), "gone"), ((path,), "file"),
                            ((folder, path), "directory"), (("/dev/full", path), "/dev/full"),
                            ((out, folder / "no.json"), "no.json")):
        result = run("--svg", *arguments)
        expect(result.returncode == 1 and result.stderr.count(b"\n") == 1 and
               word in result.stderr.decode(), f"{arguments}: {result.stderr.decode()}")
    expect(run("--flat", "--space", "card", path).returncode == 1, "--flat has no --space")
    many = one(*(region("r", i, 1) for i in range(10001)))
    result = run("--svg", "-", write(folder, "many", many))
    expect(result.returncode == 1 and b"cannot be drawn" in result.stderr and not result.stdout,
           "more than can be drawn")


def main():
    own = sorted((ROOT / "tests" / "data").glob("*.json"))
    for path in own + [path for path in
                       sorted((ROOT / "docs" / "maps").glob("*.json")) if path.stem != "wrong"]:
        check_file(path)
    example = ROOT / "docs" / "maps" / "order.svg"
    expect(run("--svg", "-", example.with_suffix(".json")).stdout == example.read_bytes(),
           "docs/maps/order.svg is not what is drawn")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        draw = random.Random(5)
        for number in range(60):
            check_file(write(folder, f"random{number}", random_map(draw)))
        check_large(folder)
        check_names(folder)
        check_options(folder)
    print(f"{len(own)} maps, 60 random ones, {failures} failures")
    return 1 if failures else 0


sys.exit(main())
