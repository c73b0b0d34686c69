"""The line of the list about a model: how good it is, on which images, at what it is best and weakest."""

from __future__ import annotations

import pytest

from app.paths import BUNDLED_MODELS
from app.services.model_notes import card_text, figures_line, note_of
from app.text import use_translator

IOU = {"background": 0.9, "chair": 0.447, "sofa": 0.426, "bottle": 0.64, "cow": None}


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (
            {"training": {"data": {"validation_images": 48}, "validation": {"mean_iou": 0.669, "iou": IOU}}},
            "mIoU 66.9 on 48 validation images; best: background 90, bottle 64; weakest: sofa 43, chair 45",
        ),
        ({"training": {"validation": {"mean_iou": 0.5, "iou": {"road": 0.5}}}}, "mIoU 50.0 on its validation images"),
        (
            {"figures": {"miou": 0.457, "on": "a drive"}, "training": {"validation": {"mean_iou": 0.9}}},
            "mIoU 45.7 on a drive",
        ),
        ({"published": {"miou": "67.4", "miou_on": "COCO val2017"}}, "mIoU 67.4 on COCO val2017, as published"),
        ({"published": {"id": "x"}}, ""),
        ({"training": {"validation": None}}, ""),
        ({"figures": {"miou": "many", "on": 3}}, ""),
        ({"figures": {"miou": float("nan")}}, ""),
        ({"training": {"validation": {"mean_iou": 7}}}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_line_names_the_figure_and_its_images(extra: object, line: str) -> None:
    assert figures_line(extra) == line


@pytest.mark.parametrize("name", ["camvid", "photos-voc", "rooms-voc"])
def test_what_a_bundled_model_says_of_itself_is_translated(name: str) -> None:
    note = note_of(BUNDLED_MODELS / f"{name}.safetensors")
    images = note.figures.partition(" on ")[2].partition("; best")[0]
    assert note.summary
    assert images
    use_translator(lambda text, _many, _number: f"translated: {text}")
    try:
        assert card_text(note.summary) == f"translated: {note.summary}"
        assert card_text(images) == f"translated: {images}"
        assert card_text("What {someone} else wrote") == "What {someone} else wrote"
    finally:
        use_translator(None)
