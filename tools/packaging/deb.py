"""``make deb``: a Debian package of the application folder that ``make app`` built.

The program lies in ``/usr/lib/atrous``, its command in ``/usr/bin``. The package brings the entry of the desktop's menu, names of
file types, icons, an AppStream file, licences and notices. ``python -m tools.packaging.deb --help`` lists the options.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.packaging.icon import DRAWING, draw

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent / "linux"
APP_ID = "org.atrous.Atrous"
#: Sides of the icons beside the scalable one, in px.
ICON_SIDES = (16, 32, 48, 64, 128, 256)
#: Libraries that Qt takes from the system. Names end in t64 where a release renamed them.
DEPENDS = (
    "libc6", "libegl1", "libgl1", "libdbus-1-3", "libfontconfig1", "libfreetype6", "libglib2.0-0 | libglib2.0-0t64",
    "libx11-xcb1", "libxkbcommon0", "libxkbcommon-x11-0", "libxcb1", "libxcb-cursor0", "libxcb-icccm4", "libxcb-image0",
    "libxcb-keysyms1", "libxcb-randr0", "libxcb-render-util0", "libxcb-shape0", "libxcb-xkb1",
)  # fmt: skip
CONTROL = """\
Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: The Atrous developers <developers@atrous.invalid>
Installed-Size: {kilobytes}
Depends: {depends}
{relations}
Recommends: fonts-noto-cjk, libwayland-client0, libwayland-cursor0, libwayland-egl1
Section: science
Priority: optional
Description: label and evaluate semantic segmentation
 Atrous opens a folder of images and runs DeepLabv3+ on them. It shows each
 mask with its trimap boundary band and its IoU per class. You correct the
 mask with a brush, and the export contains exactly the mask on screen.
 .
 This package contains {contents}; see
 /usr/share/doc/{package}/THIRD-PARTY-NOTICES.txt.
"""
#: What a package of each flavour contains, and how it stands to the other one: both are the same program.
CONTENTS = {"atrous": "Python, Qt and PyTorch", "atrous-light": "Python, Qt and ONNX Runtime, but no PyTorch"}
RELATIONS = {
    "atrous": "Conflicts: atrous-light\nReplaces: atrous-light",
    "atrous-light": "Provides: atrous\nConflicts: atrous\nReplaces: atrous",
}


#: The format of Debian: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Atrous
Comment: /usr/share/doc/{package}/NOTICE lists the models, fonts and images of the
 package, THIRD-PARTY-NOTICES.txt the other programs in it, with their terms.

Files: *
Copyright: 2026 The Atrous authors
License: Apache-2.0

License: Apache-2.0
 Licensed under the Apache License, Version 2.0. On Debian systems, its full
 text is in /usr/share/common-licenses/Apache-2.0.
"""
CHANGELOG = """\
{package} ({version}) unstable; urgency=medium

  * Release {version}; CHANGELOG.md.gz beside this file tells what is new.

 -- The Atrous developers <developers@atrous.invalid>  {date}
"""


def version() -> str:
    """Version of the program, read without importing it."""
    for line in (ROOT / "deeplab_core" / "__init__.py").read_text(encoding="utf-8").splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    raise SystemExit("deeplab_core/__init__.py names no version")


def package_of(built: Path) -> str:
    """Name of the package of an application folder: the light flavour, without PyTorch, has its own."""
    return "atrous" if any(built.glob("*/torch")) else "atrous-light"


def build_date() -> time.struct_time:
    """Date of the release: ``SOURCE_DATE_EPOCH`` if it is set, so that two builds are equal; else today."""
    return time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))


def stage(built: Path, target: Path) -> None:
    """Lay the files of the package out under ``target``, as they will lie under ``/``.

    Args:
        built: ``dist/atrous`` of ``make app``.
    """
    if not (built / "atrous").is_file():
        raise SystemExit(f"{built} holds no application; run: make app")
    compiled = shutil.ignore_patterns("__pycache__")  # a run of the folder leaves compiled loops in it
    shutil.copytree(built, target / "usr" / "lib" / "atrous", symlinks=True, ignore=compiled)
    command = target / "usr" / "bin" / "atrous"
    command.parent.mkdir(parents=True)
    command.symlink_to("../lib/atrous/atrous")
    share = target / "usr" / "share"
    put(HERE / "atrous.desktop", share / "applications" / "atrous.desktop")
    put(HERE / "atrous-mime.xml", share / "mime" / "packages" / "atrous.xml")
    about = (HERE / f"{APP_ID}.metainfo.xml").read_text(encoding="utf-8")
    about = about.replace("@VERSION@", version()).replace("@DATE@", time.strftime("%Y-%m-%d", build_date()))
    write(share / "metainfo" / f"{APP_ID}.metainfo.xml", about.encode())
    package = package_of(built)
    docs = share / "doc" / package
    write(docs / "copyright", COPYRIGHT.format(package=package).encode())
    put(ROOT / "NOTICE", docs / "NOTICE")
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", build_date())
    changes = CHANGELOG.format(package=package, version=version(), date=date)
    for name, content in (("changelog.gz", changes.encode()), ("CHANGELOG.md.gz", (ROOT / "CHANGELOG.md").read_bytes())):
        write(docs / name, gzip.compress(content, mtime=0))
    write(share / "man" / "man1" / "atrous.1.gz", gzip.compress((HERE / "atrous.1").read_bytes(), mtime=0))
    overrides = (HERE / "lintian-overrides").read_text(encoding="utf-8").replace("@PACKAGE@", package)
    write(share / "lintian" / "overrides" / package, overrides.encode())
    notices = next(built.rglob("THIRD-PARTY-NOTICES.txt"), None)
    if notices is not None:
        put(notices, docs / "THIRD-PARTY-NOTICES.txt")
    icons(share / "icons" / "hicolor")
    for path in target.rglob("*"):
        if not path.is_symlink():
            is_program = path.stat().st_mode & 0o100 and ".so" not in path.suffixes  # a library is opened, not run
            path.chmod(0o755 if path.is_dir() or is_program else 0o644)


def icons(target: Path) -> None:
    """The icon of the program in the folders of an icon theme: scalable, and drawn at the usual sides."""
    put(DRAWING, target / "scalable" / "apps" / "atrous.svg")
    for side in ICON_SIDES:
        draw(target / f"{side}x{side}" / "apps" / "atrous.png", side)


def put(source: Path, target: Path) -> None:
    """Copy a file, and make its folder."""
    write(target, source.read_bytes())


def write(target: Path, content: bytes) -> None:
    """Write a file, and make its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def control(staged: Path, package: str, architecture: str) -> str:
    """The control file: what the package manager knows of the package."""
    size = sum(path.lstat().st_size for path in staged.rglob("*") if path.is_file() and not path.is_symlink())
    return CONTROL.format(
        package=package, version=version(), architecture=architecture, kilobytes=-(-size // 1024),
        depends=", ".join(DEPENDS), relations=RELATIONS[package], contents=CONTENTS[package],
    )  # fmt: skip


def checksums(staged: Path) -> str:
    """The sums by which ``dpkg --verify`` and ``debsums`` find files that were changed after the installation."""
    lines = []
    for path in sorted(staged.rglob("*")):
        if path.is_file() and not path.is_symlink() and "DEBIAN" not in path.relative_to(staged).parts:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            lines.append(f"{found}  {path.relative_to(staged).as_posix()}\n")
    return "".join(lines)


def build(built: Path, folder: Path, compression: str = "xz") -> Path:
    """Make the package in ``folder`` and return its path. Needs ``dpkg-deb``; raises SystemExit if something is missing."""
    if shutil.which("dpkg-deb") is None:
        raise SystemExit("dpkg-deb is missing; it comes with Debian and Ubuntu: apt install dpkg")
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    folder.mkdir(parents=True, exist_ok=True)
    package = package_of(built)
    target = folder / f"{package}_{version()}_{architecture}.deb"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        staged = Path(scratch) / "package"
        stage(built, staged)
        write(staged / "DEBIAN" / "control", control(staged, package, architecture).encode())
        write(staged / "DEBIAN" / "md5sums", checksums(staged).encode("utf-8", "surrogateescape"))
        staged.chmod(0o755)
        (staged / "DEBIAN").chmod(0o755)
        command = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(staged), str(target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Build the package and print its path and size."""
    parser = argparse.ArgumentParser(description="Make a Debian package of the application folder.")
    parser.add_argument("--built", type=Path, default=ROOT / "dist" / "atrous", help="folder that 'make app' built")
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="folder of the package")
    parser.add_argument("--compression", choices=("xz", "gzip", "zstd", "none"), default="xz", help="xz takes minutes")
    options = parser.parse_args(arguments)
    target = build(options.built, options.to, options.compression)
    print(f"{target}: {target.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
