"""Which model the program starts with if the user has chosen none."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.paths import SAMPLE_PROJECT
from app.state.project import Project
from app.worker.messages import LoadModel, Predict
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import WeightsError
from tests.gui.studio import Studio, folder, make_folder, studio  # noqa: F401  (fixtures)
from tests.unit.app.tiny_model import save_tiny_model


def test_the_next_model_is_tried_where_the_first_cannot_be_read(studio: Studio, tmp_path) -> None:  # noqa: F811
    models = tmp_path / "models"
    (models / "a_graph.tflite").write_bytes(b"")
    (models / "broken.safetensors").write_bytes(b"")
    studio.compute.errors[str(models / "broken.safetensors")] = WeightsError("not a safetensors file")
    studio.start_model()
    assert studio.program.models.path == models / "stripes.safetensors"
    assert studio.titles() == []


def test_the_list_of_models_says_that_one_is_being_loaded(studio: Studio) -> None:  # noqa: F811
    """It said "No model yet" for as long as a busy machine took."""
    models = studio.window.model.models
    assert models.shown_text() == "Starting…"
    studio.compute.paused = True
    studio.program.models.start()
    assert models.shown_text() == "Loading…"
    studio.compute.paused = False
    studio.wait(lambda: studio.program.models.card is not None)
    assert models.shown_text() == "Stripes"


def test_a_model_of_last_time_that_is_gone_is_named(studio: Studio, tmp_path: Path) -> None:  # noqa: F811
    """Another one was loaded without a word."""
    studio.program.settings.set("model.path", str(tmp_path / "elsewhere" / "mine.safetensors"))
    studio.start_model()
    assert studio.titles() == ["The model mine.safetensors was not found"]
    assert str(tmp_path / "elsewhere") in studio.program.notifier.messages[-1].detail
    assert studio.program.models.path == tmp_path / "models" / "stripes.safetensors"


def test_a_bundled_model_of_last_time_is_found_in_another_installation(studio: Studio, tmp_path, monkeypatch) -> None:  # noqa: F811
    bundled = tmp_path / "new" / "resources" / "models"
    bundled.mkdir(parents=True)
    (bundled / "photos-voc.safetensors").write_bytes(b"")
    monkeypatch.setattr("app.controllers.predict.models.BUNDLED_MODELS", bundled)
    studio.program.settings.set("model.path", str(tmp_path / "old" / "resources" / "models" / "photos-voc.safetensors"))
    studio.start_model()
    assert studio.program.models.path == bundled / "photos-voc.safetensors"
    assert studio.titles() == []


def test_if_none_can_be_read_the_last_reason_is_shown(studio: Studio, tmp_path) -> None:  # noqa: F811
    path = tmp_path / "models" / "stripes.safetensors"
    studio.compute.errors[str(path)] = WeightsError("not a safetensors file")
    studio.program.models.start()
    studio.wait(lambda: bool(studio.titles()))
    assert studio.program.models.card is None


def test_a_model_that_a_person_chose_is_not_replaced_by_another(studio: Studio, tmp_path) -> None:  # noqa: F811
    studio.start_model()
    path = tmp_path / "models" / "mine.safetensors"
    path.write_bytes(b"")
    studio.compute.errors[str(path)] = WeightsError("not a safetensors file")
    studio.program.models.load(path)
    studio.wait(lambda: bool(studio.titles()))
    assert studio.program.models.path == tmp_path / "models" / "stripes.safetensors"


def test_after_a_persons_own_models_the_rooms_come_before_other_bundled_ones(studio: Studio, tmp_path, monkeypatch):  # noqa: F811
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    for name in ("camvid", "rooms-voc"):
        (bundled / f"{name}.safetensors").write_bytes(b"")
    monkeypatch.setattr("app.paths.BUNDLED_MODELS", bundled)  # the studio has none
    monkeypatch.setattr("app.controllers.predict.models.BUNDLED_MODELS", bundled)
    monkeypatch.setattr("app.controllers.predict.models.FIRST_MODEL", bundled / "rooms-voc.safetensors")
    studio.compute.errors[str(tmp_path / "models" / "stripes.safetensors")] = WeightsError("not a safetensors file")
    studio.start_model()
    assert studio.program.models.path == bundled / "rooms-voc.safetensors"


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model of the sample rooms, as it is shipped."""
    path = tmp_path / "bundled" / "rooms-voc.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"")
    monkeypatch.setattr("app.controllers.predict.models.FIRST_MODEL", path)
    return path


def sample(root: Path) -> Path:
    """A copy of the sample project with one small image."""
    rooms = make_folder(root / "sample", 1)
    (rooms / "README.md").write_bytes((SAMPLE_PROJECT / "README.md").read_bytes())
    return rooms


def test_the_sample_opens_with_its_own_model_after_streets_were_labelled(studio: Studio, tmp_path, bundled):  # noqa: F811
    studio.compute.catalogs[str(tmp_path / "models" / "stripes.safetensors")] = get_catalog("camvid11")
    asked = []
    studio.program.models.mappingNeeded.connect(lambda: asked.append(True))
    studio.start_model()
    studio.open(sample(tmp_path))
    studio.wait(lambda: studio.program.models.path == bundled)
    assert not asked
    # Who then asks for the street model gets it, and the question.
    studio.program.models.load(tmp_path / "models" / "stripes.safetensors")
    studio.wait(lambda: bool(asked))
    studio.settle()
    assert studio.program.models.path == tmp_path / "models" / "stripes.safetensors"


def test_the_sample_asks_nothing_while_its_own_model_is_on_the_way(studio: Studio, tmp_path, bundled):  # noqa: F811
    studio.compute.catalogs[str(tmp_path / "models" / "stripes.safetensors")] = get_catalog("camvid11")
    asked = []
    studio.program.models.mappingNeeded.connect(lambda: asked.append(True))
    studio.start_model()
    studio.compute.paused = True  # the model of the rooms takes its time
    studio.program.projects.open(sample(tmp_path))
    studio.wait(lambda: studio.program.session.image is not None)
    studio.program.predict.run_image()
    studio.program.folder_run.run()
    assert not asked
    studio.compute.paused = False
    studio.wait(lambda: studio.program.models.path == bundled)
    studio.settle()
    assert not asked


def test_the_sample_asks_if_its_own_model_cannot_be_read(studio: Studio, tmp_path, bundled):  # noqa: F811
    street = tmp_path / "models" / "stripes.safetensors"
    studio.compute.catalogs[str(street)] = get_catalog("camvid11")
    studio.compute.errors[str(bundled)] = WeightsError("not a safetensors file")
    asked = []
    studio.program.models.mappingNeeded.connect(lambda: asked.append(True))
    studio.start_model()
    studio.open(sample(tmp_path))
    studio.wait(lambda: bool(asked))
    studio.program.predict.run_image()
    studio.settle()
    assert studio.program.models.path == street
    tried = [request.path for request in studio.compute.asked if isinstance(request, LoadModel)]
    assert tried.count(str(bundled)) == 1


def test_another_folder_keeps_the_model_used_last_and_asks(studio: Studio, tmp_path, folder, bundled):  # noqa: F811
    street = tmp_path / "models" / "stripes.safetensors"
    studio.compute.catalogs[str(street)] = get_catalog("camvid11")
    asked = []
    studio.program.models.mappingNeeded.connect(lambda: asked.append(True))
    studio.start_model()
    studio.open(folder)
    studio.wait(lambda: bool(asked))
    assert studio.program.models.path == street


def test_photographs_streets_and_the_sample_open_with_their_own_models(studio: Studio, tmp_path, folder, shipped):  # noqa: F811
    studio.compute.catalogs[str(shipped / "camvid.safetensors")] = get_catalog("camvid11")
    asked = []
    studio.program.models.mappingNeeded.connect(lambda: asked.append(True))
    studio.start_model()
    assert studio.program.models.path == shipped / "rooms-voc.safetensors"
    studio.open(folder)
    studio.wait(lambda: studio.program.models.path == shipped / "photos-voc.safetensors")
    streets = make_folder(tmp_path / "streets", 1, truth=False)
    with Project.open(streets) as project:
        project.set_catalog(get_catalog("camvid11"))
    studio.open(streets)
    studio.wait(lambda: studio.program.models.path == shipped / "camvid.safetensors")
    studio.open(sample(tmp_path))
    studio.wait(lambda: studio.program.models.path == shipped / "rooms-voc.safetensors")
    assert not asked


def test_no_other_model_runs_before_that_of_the_photographs(studio: Studio, folder, shipped):  # noqa: F811
    """Also if the first image is in view before the model process starts."""
    studio.open(folder)
    studio.start_model()
    studio.wait(lambda: any(isinstance(request, Predict) for request in studio.compute.asked))
    loaded = [Path(request.path).name for request in studio.compute.asked if isinstance(request, LoadModel)]
    kinds = [type(request) for request in studio.compute.asked if isinstance(request, (LoadModel, Predict))]
    assert loaded == ["rooms-voc.safetensors", "photos-voc.safetensors"]
    assert kinds == [LoadModel, LoadModel, Predict]


def test_the_model_before_runs_if_that_of_the_photographs_cannot_be_read(studio: Studio, folder, shipped):  # noqa: F811
    studio.compute.errors[str(shipped / "photos-voc.safetensors")] = WeightsError("not a safetensors file")
    studio.open(folder)
    studio.start_model()
    studio.wait(lambda: any(isinstance(request, Predict) for request in studio.compute.asked))
    assert studio.program.models.path == shipped / "rooms-voc.safetensors"


def test_a_folder_opens_with_the_model_that_was_chosen_for_it(studio: Studio, tmp_path, folder, shipped):  # noqa: F811
    studio.start_model()
    studio.open(folder)
    studio.wait(lambda: studio.program.models.path == shipped / "photos-voc.safetensors")
    studio.program.models.load(shipped / "rooms-voc.safetensors")
    studio.wait(lambda: studio.program.models.path == shipped / "rooms-voc.safetensors")
    studio.open(make_folder(tmp_path / "other", 1))
    studio.wait(lambda: studio.program.models.path == shipped / "photos-voc.safetensors")
    studio.open(folder)
    studio.wait(lambda: studio.program.models.path == shipped / "rooms-voc.safetensors")


def test_it_is_said_once_that_the_model_of_the_rooms_is_weak_on_photographs(studio: Studio, tmp_path, folder, shipped):  # noqa: F811
    (shipped / "photos-voc.safetensors").unlink()
    told = []
    studio.program.models.unsuited.connect(lambda: told.append(True))
    studio.start_model()
    studio.open(sample(tmp_path))
    assert not told
    studio.open(folder)
    assert told == [True]
    (message,) = [message for message in studio.program.notifier.messages if "rendered rooms" in message.title]
    assert [choice.text for choice in message.choices] == ["Get a model…"]
    studio.open(sample(tmp_path / "again"))
    studio.open(folder)
    assert told == [True]


def test_every_model_in_the_dock_says_what_it_knows(studio: Studio, tmp_path):  # noqa: F811
    mine = tmp_path / "models" / "model.safetensors"
    save_tiny_model(mine, name="My floors", summary="Knows floors")
    choice = next(choice for choice in studio.program.models.choices() if choice.path == mine)
    assert choice.title == "My floors"
    assert choice.tooltip.splitlines() == ["Knows floors", str(mine)]
    mine.write_bytes(b"damaged")
    choice = next(choice for choice in studio.program.models.choices() if choice.path == mine)
    assert (choice.title, choice.tooltip) == ("model", str(mine))
