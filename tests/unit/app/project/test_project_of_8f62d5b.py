"""Compatibility: a project, settings and a learned model that commit 8f62d5b wrote open with every stroke and every setting.

``tests/data/project_8f62d5b/make.py`` has made them with the code of that commit, and what they must hold.
"""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from app.services.settings import SettingsStore
from app.state.backups import list_backups, restore
from app.state.image_record import ImageFlag, ImageStatus
from app.state.mask_file import read_mask_file
from app.state.project import Project
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.records import PredictOptions

DATA = Path(__file__).parents[3] / "data" / "project_8f62d5b" / "project.zip"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(DATA) as archive:
        archive.extractall(root)
    return root


@pytest.fixture
def root(original, tmp_path):
    """A copy to write into, without the large model file."""
    ignored = shutil.ignore_patterns("*.safetensors")
    return shutil.copytree(original, tmp_path / "copy", ignore=ignored)


@pytest.fixture(scope="module")
def expected(original):
    return json.loads((original / "expected.json").read_text())


@pytest.fixture(scope="module")
def arrays(original):
    with np.load(original / "expected.npz") as stored:
        return dict(stored)


def check(project, expected, arrays):
    assert project.repairs == ()
    assert project.catalog == ClassCatalog.from_dict(expected["catalog"])
    assert project.catalog.by_id(9).color == (1, 2, 3)
    for key, value in expected["settings"].items():
        assert project.setting(key) == value
    assert {record.relative_path for record in project.images} == set(expected["images"])
    for record in list(project.images):
        wanted = expected["images"][record.relative_path]
        assert record.id == wanted["id"]
        assert (int(record.status), int(record.flags), record.note) == (wanted["status"], wanted["flags"], wanted["note"])
        assert (record.mask, record.prediction, record.content_key) == (
            wanted["mask"], wanted["prediction"], wanted["content_key"],
        )  # fmt: skip
        loaded = project.load(record.id)
        assert loaded.notice == ""
        assert [[s.seq, s.title, int(s.source), s.pixels, s.undone] for s in loaded.steps] == wanted["steps"]
        if f"{record.relative_path}/labels" in arrays:
            assert np.array_equal(loaded.document.labels, arrays[f"{record.relative_path}/labels"])
            assert np.array_equal(loaded.document.provenance, arrays[f"{record.relative_path}/provenance"])
        else:
            assert not loaded.document.provenance.any()


def ids(project):
    return {record.relative_path: record.id for record in project.images}


@pytest.mark.parametrize("read_only", [False, True])
def test_every_stroke_step_status_and_setting_is_there(root, expected, arrays, read_only):
    with Project.open(root / "images", read_only=read_only) as project:
        check(project, expected, arrays)


def test_it_is_still_the_same_after_a_session_and_a_daily_copy(root, expected, arrays):
    with Project.open(root / "images") as project:
        project.tidy(10**9)
        project.upkeep()
    with Project.open(root / "images") as project:
        check(project, expected, arrays)
    (found,) = list_backups(root / "images/.atrous")
    assert (found.images, found.worked_on, found.problem) == (5, 4, "")
    restore(root / "images/.atrous")
    with Project.open(root / "images") as project:
        check(project, expected, arrays)


def test_the_fixture_holds_what_it_should(expected):
    """Strokes that are done, undone and gone; a mask that is behind; a suggestion; a failure; a review."""
    images = expected["images"]
    # Of the five strokes the first was dropped by the journal's bound, the fourth superseded; the fifth is in the log only.
    assert [step[1] for step in images["a.png"]["steps"]] == ["Brush 1", "Brush 2", "Brush 5"]
    assert [step[4] for step in images["c.png"]["steps"]] == [False, True]
    assert images["b.png"]["flags"] == ImageFlag.SUGGESTED
    assert images["e.png"]["flags"] == ImageFlag.FAILED
    assert images["a.png"]["status"] == ImageStatus.REVIEWED
    assert DATA.stat().st_size < 200_000


def test_undo_redo_and_new_strokes_go_on(root, arrays):
    with Project.open(root / "images") as project:
        image = ids(project)["c.png"]
        loaded = project.load(image)
        undone = loaded.steps[1]
        loaded.document.apply(undone.patch)
        project.journal.redo(image, undone.seq)
        again = project.load(image)
        assert np.array_equal(again.document.labels, loaded.document.labels)
        assert not np.array_equal(again.document.labels, arrays["c.png/labels"])
        for step in reversed(again.steps):
            again.document.apply(step.patch.inverted())
            project.journal.undo(image, step.seq)
        assert not project.load(image).document.provenance.any()


def test_runs_results_and_predictions_are_there(root, expected, arrays):
    with Project.open(root / "images") as project:
        run = project.runs.unfinished()
        assert run is not None
        assert run.title == expected["run"]
        assert project.runs.waiting(run.id) == expected["waiting"]
        assert project.result(ids(project)["a.png"], "confusion") == ("move 5", bytes(range(256)))
        prediction = project.prediction_of(ids(project)["b.png"])
        assert prediction is not None
        assert prediction.options == PredictOptions(flip=True)
        assert np.array_equal(prediction.labels, arrays["prediction/labels"])
        assert np.array_equal(prediction.confidence, arrays["prediction/confidence"])


def test_masks_alone_are_taken_up_with_their_provenance(root, expected, arrays):
    """The masks also speak for themselves, should the database get lost."""
    for path in (root / "images/.atrous").glob("project.db*"):
        path.unlink()
    catalog = ClassCatalog.from_dict(expected["catalog"])
    content = read_mask_file(root / "images/.atrous/masks/b.png.png", catalog)
    assert np.array_equal(content.labels, arrays["b.png/labels"])
    with Project.open(root / "images") as project:
        for name in ("b.png", "deep/d.png"):
            assert np.array_equal(project.load(ids(project)[name]).document.labels, arrays[f"{name}/labels"])


def test_every_setting_of_the_computer_is_read(root, qapp):
    store = SettingsStore(root / "settings.toml")
    assert store.problems == []
    assert store["appearance.theme"] == "light"
    assert store["canvas.opacity"] == 70
    assert store["canvas.contours"] is False
    assert store["work.autosave_seconds"] == 9
    assert store["brush.diameter"] == 55
    assert store["crf.certainty"] == 0.6
    assert store["compare.models"] == ["one", "two"]
    assert store["keys"] == {"edit.undo": ["Ctrl+Z", "F5"]}
    assert store["model.path"] == "/models/tiny.safetensors"
    assert store["folders.recent"] == ["/photos/one", "/photos/two"]


def test_the_learned_model_loads_and_predicts(original):
    from deeplab_core.images import read_image
    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    model, card = load_model(original / "images/.atrous/models/tiny-learned.safetensors")
    assert card.name.startswith("Tiny")
    assert [info.name for info in card.catalog.classes] == [f"class {number}" for number in range(5)]
    prediction = Predictor(model, card, device="cpu")(read_image(original / "images/a.png").rgb)
    assert prediction.labels.shape == (60, 84)
    assert set(np.unique(prediction.labels)) <= {1, 3}
