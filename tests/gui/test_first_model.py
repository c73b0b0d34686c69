"""Which model the program starts with where nobody has chosen one."""

from __future__ import annotations

from deeplab_core.errors import WeightsError
from tests.gui.studio import Studio, studio  # noqa: F401  (a fixture)


def test_the_next_model_is_tried_where_the_first_cannot_be_read(studio: Studio, tmp_path) -> None:  # noqa: F811
    models = tmp_path / "models"
    (models / "a_graph.tflite").write_bytes(b"")
    (models / "broken.safetensors").write_bytes(b"")
    studio.compute.errors[str(models / "broken.safetensors")] = WeightsError("not a safetensors file")
    studio.start_model()
    assert studio.program.models.path == models / "stripes.safetensors"
    assert studio.titles() == []


def test_where_none_can_be_read_the_last_reason_is_said(studio: Studio, tmp_path) -> None:  # noqa: F811
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
    monkeypatch.setattr("app.places.BUNDLED_MODELS", bundled)  # the studio has none
    monkeypatch.setattr("app.controllers.models.BUNDLED_MODELS", bundled)
    monkeypatch.setattr("app.controllers.models.FIRST_MODEL", bundled / "rooms-voc.safetensors")
    studio.compute.errors[str(tmp_path / "models" / "stripes.safetensors")] = WeightsError("not a safetensors file")
    studio.start_model()
    assert studio.program.models.path == bundled / "rooms-voc.safetensors"
