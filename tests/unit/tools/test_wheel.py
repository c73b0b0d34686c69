"""The wheel: what it says about itself, and that what the program reads is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
import yaml

from deeplab_core import __version__
from tools.packaging.dist import build

ROOT = Path(__file__).resolve().parents[3]
SOURCES = (
    "atrous.py",
    "app",
    "deeplab_core",
    "resources",
    "translations",
    "tools",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "NOTICE",
)


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
    return build("wheel", source, target)


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


def test_the_translations_are_released_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.getinfo("resources/translations/atrous_ko.qm").file_size > 100_000
        assert archive.getinfo("resources/translations/qtbase_ko.qm").file_size > 500


@pytest.mark.parametrize("package", ["app", "deeplab_core"])
def test_type_checkers_read_the_annotations_of_an_installed_copy(wheel: Path, package: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert f"{package}/py.typed" in archive.namelist()


#: What a user's own folder may hold: packages of the same names, which would do something else.
FOREIGN = {"app/__init__.py": "raise SystemExit('a foreign app')", "resources/__init__.py": "raise SystemExit(1)"}
#: A program on the installed copy whose child is another process: it imports what the parent imports.
SPAWNS = """
import atrous
import multiprocessing

def where():
    import app, deeplab_core
    return app.__file__, deeplab_core.__file__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(*where(), *pool.apply(where), sep="\\n")
"""


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel: what pip, pipx and uv put into site-packages, and its script in ``bin``."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return target


@pytest.fixture
def foreign(tmp_path: Path, installed: Path) -> tuple[Path, dict[str, str]]:
    """A folder with packages of our names, and an environment that finds them first."""
    for name, text in FOREIGN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path, {**os.environ, "PYTHONPATH": os.pathsep.join([".", str(installed)])}


def run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("way", ["script", "module"])
def test_the_program_starts_in_a_folder_with_packages_of_its_names(
    installed: Path, foreign: tuple[Path, dict[str, str]], way: str
) -> None:
    (script,) = [path for path in (installed / ("Scripts" if os.name == "nt" else "bin")).iterdir() if path.stem == "atrous"]
    start = [str(script)] if way == "script" else [sys.executable, "-m", "atrous"]
    done = run([*start, "models", "list", "--json"], *foreign)
    assert done.returncode == 0, done.stderr
    assert str(installed / "resources" / "models") in done.stdout.replace("\\\\", "\\")
    assert "a foreign app" in run([sys.executable, "-m", "app"], *foreign).stderr  # the folder is what the test says


def test_the_compute_process_imports_the_same_packages(installed: Path, foreign: tuple[Path, dict[str, str]]) -> None:
    (foreign[0] / "run.py").write_text(SPAWNS, encoding="utf-8")
    done = run([sys.executable, "run.py"], *foreign)
    assert done.returncode == 0, done.stderr
    parent, core, *child = done.stdout.splitlines()
    assert [Path(parent).parent, Path(core).parent] == [installed / "app", installed / "deeplab_core"]
    assert child == [parent, core]


def test_it_says_who_made_it_and_for_whom(metadata: Message) -> None:
    assert metadata["Author"] == "The Atrous developers"
    classifiers = metadata.get_all("Classifier", [])
    assert "Topic :: Scientific/Engineering :: Image Recognition" in classifiers
    assert [line for line in classifiers if line.startswith("License ::")] == []  # the licence expression says it


def test_the_citation_names_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == __version__
    assert cited["authors"] == [{"name": "The Atrous developers"}]
