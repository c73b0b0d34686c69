"""The wheel: what it says about itself, and that what the program reads is in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("app", "deeplab_core", "resources", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout keeps no build folder; without isolation, so that nothing is fetched."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc"))
        else:
            shutil.copy(path, source / name)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(target)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(archive.read(name))


def test_the_licence_names_every_term_that_comes_along(metadata: Message) -> None:
    assert set(str(metadata["License-Expression"]).split(" AND ")) == {
        "Apache-2.0", "OFL-1.1", "CC-BY-NC-4.0", "CC0-1.0", "LicenseRef-Atrous-research",
    }  # fmt: skip
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE", "resources/fonts/OFL.txt", "resources/models/TERMS.txt"]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("LICENSE", "Apache License"),
        ("NOTICE", "research and personal use only"),
        ("resources/fonts/OFL.txt", "SIL OPEN FONT LICENSE Version 1.1"),
        ("resources/models/TERMS.txt", "camvid.safetensors"),
        ("resources/models/TERMS.txt", "SPDX-License-Identifier: CC-BY-NC-4.0"),
    ],
)
def test_the_terms_themselves_come_along(wheel: Path, file: str, words: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(f".dist-info/licenses/{file}"))
        assert words in archive.read(name).decode()


def test_every_bundled_model_and_font_has_terms() -> None:
    terms = (ROOT / "resources" / "models" / "TERMS.txt").read_text(encoding="utf-8")
    models = sorted((ROOT / "resources" / "models").glob("*.safetensors"))
    assert models
    assert [path.name for path in models if f"\n{path.name}\n" not in terms] == []
    fonts = {path.name.split("-")[0] for path in (ROOT / "resources" / "fonts").glob("*.otf")}
    assert fonts == {"Inter"}  # OFL.txt is Inter's; another font brings a text of its own


def test_what_is_unused_at_run_time_is_no_dependency(metadata: Message) -> None:
    required = {str(line).split(";")[0].lower() for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in str(line)}
    names = {line.split(">")[0].split("!")[0].split("=")[0].strip() for line in required}
    assert "torch" in names
    assert names.isdisjoint({"torchvision", "superqt", "opencv-python"})


def test_resources_are_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = [path for path in (ROOT / "resources").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path for path in files if path.relative_to(ROOT).as_posix() not in names] == []


@pytest.mark.parametrize("package", ["app", "deeplab_core"])
def test_type_checkers_read_the_annotations_of_an_installed_copy(wheel: Path, package: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert f"{package}/py.typed" in archive.namelist()
