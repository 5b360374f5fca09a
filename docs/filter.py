#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lets Doxygen read the headers' plain comments; its INPUT_FILTER. Line numbers stay as they are.

- The comment at the top is about the file; one before a declaration or after a member is about it.
- A rule across the page (`--- Types ---`) is about nothing.
- Declarations that follow each other without an empty line share the comment above the first.
- @name is a parameter, unless it is one of Doxygen's commands.
"""

import os
import re
import sys

COMMANDS = {"a", "b", "brief", "c", "code", "copydoc", "defgroup", "endcode", "file", "ingroup",
            "internal", "li", "note", "p", "param", "ref", "return", "returns", "retval",
            "see", "since", "warning"}


def words(text):
    return re.sub(r"@([A-Za-z_]\w*)",
                  lambda m: m.group(0) if m.group(1) in COMMANDS else f"@p {m.group(1)}", text)


def filtered(name, lines):
    top_seen = False  # the comment about the file
    inside = False  # a comment that goes on
    block = []  # the lines of the last comment that stood alone
    after_declaration = False  # and no empty line or comment since
    for line in lines:
        if inside:
            block.append(line)
            inside = "*/" not in line
            yield words(line)
            continue
        code, opening, rest = line.partition("/*")
        if opening and not code.strip():
            inside = "*/" not in rest
            if "SPDX-License-Identifier" in rest or re.match(r"\s*-{3}", rest):
                yield line
            else:
                about_file = not top_seen and code == ""
                top_seen = top_seen or about_file
                block = [line]
                mark = "" if rest.startswith("*") else "*"
                if about_file:
                    mark += f" @file {name} @brief"
                yield f"{code}/*{mark}{words(rest)}"
            after_declaration = False
            continue
        if opening and not line.startswith(("#endif", "#else", "#if", "#include")):
            inside = "*/" not in rest
            mark = "" if rest.startswith("*") else "*<"
            line = f"{code}/*{mark}{words(rest)}"
        elif line.startswith("FH_API") and after_declaration and block:
            text = " ".join(re.sub(r"^\s*/?\*+/?|\*/\s*$", "", row).strip() for row in block)
            line = f"/** {words(text)} */ {line}"
        if not line.strip():
            block = []
        after_declaration = ";" in line
        yield line


with open(sys.argv[1], encoding="utf-8") as file:
    sys.stdout.writelines(f"{line}\n"
                         for line in filtered(os.path.basename(sys.argv[1]),
                                              file.read().splitlines()))
