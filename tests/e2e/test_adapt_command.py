"""``atrous adapt``: the twin of *Learn…* in the window writes a model that learned from a project's corrections."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.cli import run
from app.cli.adapt import report_lines
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.learning import ClassGain, GainInterval, LearnReport
from deeplab_core.weights import load_model
from tests.unit.app.folders import SHAPE, image_id, make_folder

pytestmark = pytest.mark.e2e
#: Three of the five classes of the tiny model, and one that it lacks.
LABELS = ClassCatalog("mine", "Mine", tuple(ClassInfo(i, name, (i, 90, 9)) for i, name in enumerate(
    ("class 0", "class 1", "class 3", "moss")
)))  # fmt: skip


def corrected(folder: Path, *classes: int) -> Path:
    """A project of three images; on two of them vertical stripes of these classes were painted."""
    make_folder(folder, "a.png", "b.png", "c.png")
    with Project.open(folder, catalog=LABELS) as project:
        for name in ("a.png", "b.png"):
            image = image_id(project, name)
            document = project.load(image).document
            after = np.resize(np.array(classes, document.labels.dtype), SHAPE)
            mine = np.full_like(document.provenance, Provenance.USER)
            project.append_step(image, "Brush", Provenance.USER, diff_patch(document.labels, document.provenance, after, mine))
    return folder


def adapt(*arguments: str | Path) -> int:
    return run([str(part) for part in ("adapt", *arguments, "--layers", "classifier", "--device", "cpu")])


def test_a_model_learns_what_was_corrected_and_the_report_says_how_well(
    tmp_path: Path, model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = corrected(tmp_path / "photos", 1, 3)
    before = sorted((path, path.stat().st_mtime_ns) for path in (folder / ".atrous").glob("*.png"))
    target, report = tmp_path / "learned.safetensors", tmp_path / "report.json"
    status = adapt(folder, "--model", model_file, "-o", target, "--json", report)
    out, err = capsys.readouterr()
    assert status == (1 if "Worse" in out else 0)
    _, card = load_model(target)
    assert "moss" in card.catalog.names
    assert card.extra["lineage"][-1]["corrected"] == ["a.png", "b.png"]
    found = json.loads(report.read_text())
    assert (found["format"], found["id"], found["report"]["images"]) == ("atrous-adapt-1", card.id, 2)
    assert LearnReport.from_dict(found["report"]).summary in out
    assert "moss (new)" in out
    assert "no class for class 2, class 4" in err
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (folder / ".atrous").glob("*.png"))
    assert adapt(folder, "--model", model_file, "-o", target) == 2, "the target exists"


def test_a_project_without_corrections_is_refused(tmp_path: Path, model_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path / "photos", "a.png")
    with Project.open(folder, catalog=LABELS):
        pass
    target = tmp_path / "learned.safetensors"
    assert adapt(folder, "--model", model_file, "-o", target) == 2
    assert "was corrected yet" in capsys.readouterr().err
    assert not target.exists()
    assert adapt(folder, "--model", model_file, "-o", tmp_path / "learned.pth") == 2


def test_a_report_in_words_names_intervals_and_the_loser() -> None:
    loser = ClassGain(
        id=1, name="moss", color=(1, 2, 3), pixels=1200, images=2, corrected=(None, 0.5), held_out=(0.4, 0.3), new=True,
        change=GainInterval(gain=-0.1, low=-0.2, high=-0.05, images=2),
    )  # fmt: skip
    other = replace(loser, name="rock", pixels=9, new=False, change=GainInterval(gain=-0.04, low=-0.06, high=-0.02, images=2))
    report = LearnReport(
        verdict="worse", summary="Worse.", images=2, background=1, pixels=1200, corrected=(0.1, 0.5), held_out=(0.4, 0.3),
        kept=0.95, step=10, steps=30, blend=0.5, layers="everything behind the encoder", seconds=3.0, classes=(loser, other),
        change=GainInterval(gain=-0.1, low=None, high=None, images=1),
    )  # fmt: skip
    lines = report_lines(report)
    assert lines[1:] == [
        "Of the confident predictions elsewhere 95.0% stayed.",
        "class       pixels  images  corrected  left out      change (95 %)",
        "moss (new)  1,200   2       - to 50.0  40.0 to 30.0  -10.0 [-20.0, -5.0]",
        "rock        9       2       - to 50.0  40.0 to 30.0  -4.0 [-6.0, -2.0]",
        "Mean IoU of images left out: 40.0 to 30.0, -10.0, no interval.",
        "moss lost most: -10.0 [-20.0, -5.0].",
        "rock lost too: -4.0 [-6.0, -2.0].",
        "Worse.",
    ]
