"""What a light installation needs, and which build of PyTorch pip takes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.light import LIGHT, ROOT, text
from tools.packaging.unused import unused_files_of_qt
from tools.torch_build import CPU_INDEX, arguments, has_own_place


def test_the_file_is_what_pyproject_declares() -> None:
    assert LIGHT.read_text(encoding="utf-8") == text(), "run: python -m tools.light"


def test_it_lacks_torch_alone_and_has_what_runs_graphs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {Requirement(row).name for row in project["dependencies"]}
    lines = [line for line in LIGHT.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert {Requirement(line).name for line in lines} == names - {"torch"} | {"onnxruntime"}


@pytest.mark.parametrize(
    ("system", "machine", "driver", "own_place", "cpu"),
    [
        ("Linux", "x86_64", False, False, True),
        ("Linux", "aarch64", False, False, True),
        ("Linux", "x86_64", True, False, False),
        ("Linux", "x86_64", False, True, False),
        ("Linux", "riscv64", False, False, False),
        ("Windows", "AMD64", False, False, False),
        ("Darwin", "arm64", False, False, False),
    ],
)
def test_the_build_for_the_cpu_is_for_linux_without_a_driver(
    system: str, machine: str, driver: bool, own_place: bool, cpu: bool
) -> None:
    found = arguments(system=system, machine=machine, driver=driver, own_place=own_place)
    assert found == (["--extra-index-url", CPU_INDEX] if cpu else [])


def test_a_place_that_the_user_chose_is_kept() -> None:
    assert has_own_place({"PIP_INDEX_URL": "https://mirror.example/simple"}, "")
    assert has_own_place({}, "global.index-url='https://mirror.example/simple'\n")
    assert has_own_place({}, "install.find-links='/wheels'")
    assert not has_own_place({"PIP_INDEX_URL": ""}, "global.timeout='60'\n:env:.disable-pip-version-check='1'\n")


def test_qt_keeps_what_the_window_uses(tmp_path: Path) -> None:
    kept = [
        "Qt/lib/libQt6Widgets.so.6",
        "Qt/plugins/platforms/libqxcb.so",
        "Qt/translations/qtbase_ko.qm",
        "lrelease",
        "QtSvg.abi3.so",
    ]
    dropped = [
        "Qt/lib/libQt6Quick.so.6",
        "Qt/qml/QtQuick/qmldir",
        "Qt/translations/assistant_ko.qm",
        "qmlls",
        "Qt/metatypes/a.json",
    ]
    for name in (*kept, *dropped):
        path = tmp_path / "PySide6" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert {path.relative_to(tmp_path / "PySide6").as_posix() for path in unused_files_of_qt(tmp_path)} == set(dropped)
