"""The figures of coverage only rise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import coverage_floor


def report(**files: tuple[int, int]) -> dict[str, object]:
    """As coverage.py writes it: path, with dots for slashes, -> (statements that ran, statements)."""
    return {
        "files": {
            f"{name.replace('__', '/')}.py": {"summary": {"covered_lines": ran, "num_statements": all_of_them}}
            for name, (ran, all_of_them) in files.items()
        }
    }


@pytest.fixture
def floors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(coverage_floor, "ROOT", tmp_path)
    monkeypatch.setattr(coverage_floor, "FLOORS", tmp_path / "coverage.json")
    return tmp_path / "coverage.json"


def run(folder: Path, found: dict[str, object], *options: str) -> int:
    file = folder / "report.json"
    file.write_text(json.dumps(found))
    return coverage_floor.main([str(file), *options])


def test_modules_are_counted_by_package() -> None:
    found = report(deeplab_core__images__png=(9, 10), deeplab_core__images__tiff=(1, 10), app__state__edits__fill=(2, 3),
                   deeplab_core__labels=(1, 1), app__ui__shell__theme=(0, 9))  # fmt: skip
    assert coverage_floor.percentages(found) == {"app/state": 66.6, "deeplab_core": 100.0, "deeplab_core/images": 50.0}


def test_a_figure_rises_and_does_not_fall(floors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(floors.parent, report(app__state__a=(80, 100)), "--write") == 0
    assert "no earlier figure" in capsys.readouterr().out
    assert run(floors.parent, report(app__state__a=(799, 1000))) == 0  # within the slack
    assert run(floors.parent, report(app__state__a=(79, 100)), "--write") == 1
    assert "app/state: 79.0 % of its statements ran, 80.0 % before" in capsys.readouterr().err
    assert json.loads(floors.read_text()) == {"app/state": 80.0}
    assert run(floors.parent, report(app__state__a=(90, 100), deeplab_core__b=(1, 2)), "--write") == 0
    assert json.loads(floors.read_text()) == {"app/state": 90.0, "deeplab_core": 50.0}


def test_without_a_file_of_figures_nothing_is_accepted(floors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(floors.parent, report(app__state__a=(1, 1))) == 1
    assert "coverage.json is missing" in capsys.readouterr().err


def test_a_package_that_is_not_measured_any_more_is_named(floors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floors.write_text('{"deeplab_core/images": 90.0}')
    assert run(floors.parent, report(app__state__a=(1, 1))) == 1
    assert "deeplab_core/images: not measured any more" in capsys.readouterr().err
