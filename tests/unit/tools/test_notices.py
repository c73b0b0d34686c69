"""Third-party notices: every package that the program needs, each with its licence and its text."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tools.notices import contained, licence, notices, required, system_libraries, texts


def test_packages_that_packages_need_are_named() -> None:
    names = {package.metadata["Name"].lower() for package in required()}
    assert {"numpy", "torch", "pyside6_essentials", "shiboken6", "llvmlite", "markupsafe"} <= names
    assert names.isdisjoint({"atrous", "pytest", "ruff", "matplotlib"})  # neither itself nor extras


def test_each_comes_with_its_terms() -> None:
    packages = [distribution(name) for name in ("numpy", "click")]
    text = notices(packages)
    for package in packages:
        assert licence(package) in text
        shown = [content for _file, content in texts(package)]
        assert shown
        assert all(content in text for content in shown)


def test_a_licence_is_read_from_wherever_it_is_stated() -> None:
    assert licence(distribution("numpy")) != "not stated"
    assert "LGPL-3.0" in licence(distribution("PySide6_Essentials"))


def test_packages_without_a_text_of_their_own_have_the_one_that_they_name() -> None:
    names = {package.metadata["Name"].lower() for package in required() if not list(texts(package))}
    assert [name for name in names if not name.startswith(("cuda", "nvidia"))] == []  # NVIDIA's are not in the folder for the CPU
    shown = dict(texts(distribution("PySide6_Essentials")))
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in shown["LGPL-3.0.txt"]
    assert "GNU GENERAL PUBLIC LICENSE" in shown["GPL-3.0.txt"]
    assert "Tsung-Yi Lin" in dict(texts(distribution("pycocotools")))["pycocotools.txt"]


def test_python_comes_with_its_terms() -> None:
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in contained()


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs Linux with dpkg")
def test_libraries_of_the_system_come_with_what_debian_records(tmp_path: Path) -> None:
    library = next(path for folder in ("/lib", "/usr/lib") for path in Path(folder).glob("*-linux-*/libc.so.6"))
    own = tmp_path / library.name
    own.touch()
    found = system_libraries([library, own, Path(sys.executable)])
    assert list(found) == ["libc6"]
    text = notices([distribution("click")], found)
    assert "libc6  libc" in text
    assert "GNU C Library" in text
