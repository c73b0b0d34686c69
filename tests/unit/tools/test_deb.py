"""The Debian package: where its files lie, what the desktop is told, and that Debian's own tools read it."""

from __future__ import annotations

import configparser
import gzip
import hashlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from tools.packaging import deb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Debian package is built on Linux")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What 'make app' leaves, with a program of three lines."""
    folder = tmp_path / "dist" / "atrous"
    (folder / "_internal" / "resources").mkdir(parents=True)
    (folder / "_internal" / "torch").mkdir()
    program = folder / "atrous"
    program.write_text("#!/bin/sh\necho atrous\n", encoding="ascii")
    program.chmod(0o755)
    library = folder / "_internal" / "libx.so.1"
    library.write_bytes(b"")
    library.chmod(0o755)
    (folder / "_internal" / "THIRD-PARTY-NOTICES.txt").write_text("numpy", encoding="ascii")
    return folder


@pytest.fixture
def staged(built: Path, tmp_path: Path, qapp: object) -> Path:
    deb.stage(built, tmp_path / "root")
    return tmp_path / "root"


def test_the_command_leads_to_the_program(staged: Path) -> None:
    command = staged / "usr" / "bin" / "atrous"
    assert not command.readlink().is_absolute()
    assert command.resolve() == staged / "usr" / "lib" / "atrous" / "atrous"
    assert subprocess.run([str(command)], capture_output=True, text=True, check=True).stdout == "atrous\n"


def test_only_programs_are_executable(staged: Path) -> None:
    inside = staged / "usr" / "lib" / "atrous"
    assert (inside / "atrous").stat().st_mode & 0o777 == 0o755
    assert (inside / "_internal" / "libx.so.1").stat().st_mode & 0o777 == 0o644


def test_what_a_run_of_the_folder_left_in_it_stays_out(built: Path, tmp_path: Path, qapp: object) -> None:
    (built / "_internal" / "kernels" / "__pycache__").mkdir(parents=True)
    deb.stage(built, tmp_path / "root")
    assert list((tmp_path / "root").rglob("__pycache__")) == []


def test_the_menu_entry_names_what_the_package_contains(staged: Path) -> None:
    entry = configparser.ConfigParser(interpolation=None)
    entry.optionxform = str  # type: ignore[assignment, method-assign]
    entry.read(staged / "usr/share/applications/atrous.desktop", encoding="utf-8")
    values = dict(entry["Desktop Entry"])
    assert values["Exec"].split()[0] == "atrous"
    assert values["MimeType"] == "inode/directory;"  # the program opens folders
    assert (staged / f"usr/share/icons/hicolor/scalable/apps/{values['Icon']}.svg").is_file()
    assert {"Name", "Comment", "Comment[ko]", "GenericName[ko]"} <= set(values)
    if shutil.which("desktop-file-validate"):
        subprocess.run(["desktop-file-validate", str(staged / "usr/share/applications/atrous.desktop")], check=True)


def test_icons_have_their_sides_and_show_something(staged: Path) -> None:
    for side in deb.ICON_SIDES:
        with Image.open(staged / f"usr/share/icons/hicolor/{side}x{side}/apps/atrous.png") as icon:
            assert icon.size == (side, side)
            assert len(icon.convert("RGBA").getcolors(side * side) or []) > 10


def test_the_appstream_file_tells_version_and_entry(staged: Path) -> None:
    path = staged / "usr/share/metainfo/org.atrous.Atrous.metainfo.xml"
    about = ET.parse(path).getroot()
    assert about.findtext("launchable") == "atrous.desktop"
    (release,) = about.iter("release")
    assert release.get("version") == deb.version()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", release.get("date", ""))
    if shutil.which("appstreamcli"):
        done = subprocess.run(["appstreamcli", "validate", "--no-net", str(path)], capture_output=True, text=True, check=False)
        assert not re.search(r"^E:", done.stdout, re.MULTILINE), done.stdout


def test_file_types_are_named(staged: Path) -> None:
    named = ET.parse(staged / "usr/share/mime/packages/atrous.xml").getroot()
    assert [entry.get("pattern") for entry in named.iter() if entry.tag.endswith("}glob")] == ["*.safetensors"]


def test_licences_come_along(staged: Path) -> None:
    docs = staged / "usr/share/doc/atrous"
    assert "Apache License" in (docs / "copyright").read_text(encoding="utf-8")
    assert "LGPL-3.0-only" in (docs / "NOTICE").read_text(encoding="utf-8")
    assert (docs / "THIRD-PARTY-NOTICES.txt").read_text(encoding="utf-8") == "numpy"
    changes = gzip.decompress((docs / "changelog.gz").read_bytes()).decode()
    assert changes.startswith(f"atrous ({deb.version()}) unstable")
    assert max(len(line) for line in changes.splitlines() if line.startswith("  ")) <= 80  # as lintian asks
    assert gzip.decompress((docs / "CHANGELOG.md.gz").read_bytes()).startswith(b"# Changelog")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_the_package_is_read_by_debian(built: Path, tmp_path: Path, qapp: object) -> None:
    package = deb.build(built, tmp_path / "out", "gzip")
    told = subprocess.run(["dpkg-deb", "--field", str(package)], capture_output=True, text=True, check=True).stdout
    assert f"Version: {deb.version()}" in told
    assert "Package: atrous" in told
    listed = subprocess.run(["dpkg-deb", "--contents", str(package)], capture_output=True, text=True, check=True)
    rows = listed.stdout.splitlines()
    assert [row for row in rows if " root/root " not in row] == []
    assert [row for row in rows if row.startswith("-") and row[8] == "w"] == []  # nobody else may write
    assert any(row.endswith("./usr/bin/atrous -> ../lib/atrous/atrous") for row in rows)
    assert list((tmp_path / "out").iterdir()) == [package]
    sums = subprocess.run(["dpkg-deb", "--info", str(package), "md5sums"], capture_output=True, text=True, check=True).stdout
    program = hashlib.md5((built / "atrous").read_bytes(), usedforsecurity=False).hexdigest()
    assert f"{program}  usr/lib/atrous/atrous\n" in sums
    assert len(sums.splitlines()) == sum(row.startswith("-") for row in rows)


@pytest.mark.skipif(shutil.which("lintian") is None, reason="needs Linux with lintian")
def test_lintian_finds_no_error(built: Path, tmp_path: Path, qapp: object) -> None:
    package = deb.build(built, tmp_path / "out", "xz")
    done = subprocess.run(["lintian", "--fail-on", "error", str(package)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_the_light_flavour_is_a_package_that_takes_the_place_of_the_other(built: Path, tmp_path: Path, qapp: object) -> None:
    (built / "_internal" / "torch").rmdir()
    package = deb.build(built, tmp_path / "out", "none")
    assert package.name.startswith(f"atrous-light_{deb.version()}_")
    told = subprocess.run(["dpkg-deb", "--field", str(package)], capture_output=True, text=True, check=True).stdout
    assert {"Package: atrous-light", "Provides: atrous", "Conflicts: atrous", "Replaces: atrous"} <= set(told.splitlines())
    assert "no PyTorch" in told
    listed = subprocess.run(["dpkg-deb", "--contents", str(package)], capture_output=True, text=True, check=True).stdout
    assert "./usr/share/doc/atrous-light/copyright" in listed
    assert "./usr/share/doc/atrous/" not in listed


def test_a_missing_application_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make app"):
        deb.stage(tmp_path, tmp_path / "root")
