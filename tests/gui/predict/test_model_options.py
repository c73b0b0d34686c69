"""The dialog of what the weights do not tell: every value with its origin, set and kept in the card beside the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PySide6.QtWidgets import QComboBox, QDialog

from app.ui.predict.model_options_dialog import ModelOptionsDialog
from app.viewmodels.predict.model_options import guesses_text, option_rows
from app.worker.messages import Loaded, LoadModel
from app.worker.session import ComputeSession
from deeplab_core.records import ModelCard
from deeplab_core.weights import card_path, load_model
from tests.gui.studio import Studio, folder, make_folder, studio  # noqa: F401  (fixtures)
from tests.unit.core.weights.test_beside import named, other, smp


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    _, state = smp("unet", interpolation="bilinear")
    path = tmp_path_factory.mktemp("models") / "unet.pth"
    torch.save({"state_dict": {**named("model", state), **named("ema_model.module", other(state))}}, path)
    return path


def test_the_dialog_shows_every_value_with_its_origin(qtbot, checkpoint: Path) -> None:
    _, card = load_model(checkpoint)
    dialog = ModelOptionsDialog(option_rows(replace(card, extra={**card.extra, "known_from": {"output_stride": "config.json"}})))
    qtbot.addWidget(dialog)
    guessed = {"interpolation", "channel_order", "mean", "std", "resize", "padding"}
    assert set(dialog.fields) == {"weights", "output_stride", *guessed}
    assert set(dialog.certain) == guessed
    assert not dialog.go.isEnabled()
    box = dialog.fields["interpolation"]
    assert isinstance(box, QComboBox)
    assert [box.itemText(place) for place in range(box.count())] == ["nearest", "bilinear", "bicubic"]
    box.setCurrentText("bilinear")
    assert dialog.options() == {"interpolation": "bilinear"}
    assert dialog.go.isEnabled()
    box.setCurrentText("nearest")
    assert not dialog.go.isEnabled()
    dialog.certain["mean"].setChecked(True)
    assert dialog.options() == {"mean": "123.675, 116.28, 103.53"}
    assert guesses_text(card) == "Guessed: classes, input, interpolation"


def test_options_are_kept_beside_the_file_and_every_later_request_sees_them(checkpoint: Path) -> None:
    session = ComputeSession()
    usual = session.answer(LoadModel(request_id=1, path=str(checkpoint), device="cpu")).card
    answer = session.answer(
        LoadModel(request_id=2, path=str(checkpoint), device="cpu", options={"interpolation": "bilinear", "mean": "1, 2, 3"})
    )
    assert isinstance(answer, Loaded)
    assert answer.card.architecture["interpolation"] == "bilinear"
    assert answer.card.preprocessing.mean == (1.0, 2.0, 3.0)
    assert set(answer.card.guessed) == {"catalog"}
    assert answer.card.id != usual.id
    assert load_model(checkpoint)[1].id == answer.card.id
    assert json.loads(card_path(checkpoint).read_text())["architecture"]["interpolation"] == "bilinear"
    card_path(checkpoint).unlink()
    assert load_model(checkpoint)[1].id == usual.id


def test_the_dock_names_the_guesses_and_opens_the_dialog(studio: Studio, monkeypatch) -> None:  # noqa: F811
    studio.compute.guessed = ("catalog", "preprocessing", "atrous_rates")
    studio.start_model()
    dock = studio.window.model
    assert dock.guesses.text() == "3 values are guessed…"
    assert "classes, input, atrous rates" in dock.guesses.toolTip()
    assert not dock.guesses.isHidden()

    opened: list[int] = []

    def answered(dialog: ModelOptionsDialog) -> int:
        if "resize" in dialog.certain:
            dialog.certain["resize"].setChecked(True)
        opened.append(len(dialog.options()))
        return int(QDialog.DialogCode.Accepted)

    monkeypatch.setattr(ModelOptionsDialog, "exec", answered)
    dock.guesses.click()
    studio.wait(lambda: dock.guesses.isHidden())
    assert studio.program.models.card.guessed == ()
    studio.window.commands["model.options"].trigger()  # there without a guess too
    assert opened == [1, 0]


def test_cards_of_graphs_and_two_class_networks_have_rows() -> None:
    _, card = load_model(smp()[1])
    assert [row.name for row in option_rows(card)][:3] == ["output_stride", "atrous_rates", "align_corners"]
    graph = ModelCard(
        id="", name="g", architecture={"name": "onnx"}, catalog=card.catalog, output_strides=(16,),
        extra={"output": "a", "other_outputs": ["b"]}, guessed=("output",),
    )  # fmt: skip
    rows = {row.name: row for row in option_rows(graph)}
    assert rows["output"].choices == ("a", "b")
    assert rows["output"].guessed
    assert "atrous_rates" not in rows
