# SPDX-License-Identifier: MIT
"""Guests that are not Freehold's own: what tests and benchmarks boot, fetched from Debian."""

import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
CANNOT_BE_HAD = 3  # what fetch-deb.sh ends with if it is not to blame
LINUX = ("linux-image-riscv64", "busybox-static")
U_BOOT = ("u-boot-qemu",)


class Missing(Exception):
    """What a guest needs is not on this machine, and cannot be had from here."""


def fetch(packages):
    """The directory with the unpacked files. What it does is shown on standard error."""
    done = subprocess.run([ROOT / "tools/fetch-deb.sh", "riscv64", "trixie", *packages],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == CANNOT_BE_HAD:
        raise Missing(f"{' and '.join(packages)} cannot be fetched")
    done.check_returncode()
    return pathlib.Path(done.stdout.strip())


def fetch_all():
    """Now rather than in a test, whose output nobody sees while it runs."""
    for packages in (LINUX, U_BOOT):
        fetch(packages)


def one_of(files, *patterns):
    for pattern in patterns:
        found = sorted(files.glob(pattern))
        if found:
            return found[-1]
    raise FileNotFoundError(f"no {' or '.join(patterns)} in {files}")


def debian(init, work):
    """(kernel, initrd): Debian's kernel, and a disk of busybox and `init`, a script, made below
    the directory `work`."""
    if not shutil.which("cpio"):
        raise Missing("cpio is not here")
    files = fetch(LINUX)
    root = work / "root"
    for directory in ("bin", "dev", "proc", "sys"):
        (root / directory).mkdir(parents=True)
    shutil.copy(one_of(files, "usr/bin/busybox", "bin/busybox"), root / "bin/busybox")
    (root / "init").write_text(init, encoding="ascii")
    (root / "init").chmod(0o755)
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    initrd = work / "initrd"
    with initrd.open("wb") as out:
        subprocess.run(["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"], cwd=root,
                       input="\n".join([".", *names]).encode(), stdout=out, check=True)
    return one_of(files, "boot/vmlinu[xz]-*"), initrd


def u_boot(board):
    """U-Boot's image for a board, by the name that U-Boot has for it."""
    return one_of(fetch(U_BOOT), f"usr/lib/u-boot/{board}/u-boot.bin")
