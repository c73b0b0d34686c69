"""What the export dialog says about images without a corrected mask: one thing, the one that happens."""

from __future__ import annotations

import pytest

from app.controllers.project.export import summary_lines
from app.viewmodels.project.folder_plan import ScopeCount
from deeplab_core.masks.export.run import ExportSummary


@pytest.mark.parametrize(
    ("count", "with_predictions", "text"),
    [
        (ScopeCount(3, 0, 0), True, "Masks of 3 images will be written; the project's own masks do not change."),
        (ScopeCount(3, 2, 2), True, "2 images have no corrected mask: the prediction is exported instead."),
        (ScopeCount(3, 1, 1), True, "1 image has no corrected mask: the prediction is exported instead."),
        (ScopeCount(3, 2, 2), False, "2 images have no corrected mask: left out and listed in the summary."),
        (ScopeCount(3, 2, 0), True, "2 images have no corrected mask: left out, because there is no prediction either."),
        (ScopeCount(4, 3, 2), True, "mask: 2 predictions are exported, 1 image without a prediction is left out."),
    ],
)  # fmt: skip
def test_each_case_has_one_sentence(count: ScopeCount, with_predictions: bool, text: str) -> None:
    assert count.text(with_predictions=with_predictions).endswith(text)


def test_images_that_are_left_out_are_not_counted_as_written() -> None:
    assert ScopeCount(4, 3, 2).text(with_predictions=True).startswith("Masks of 3 images")
    assert ScopeCount(4, 3, 2).text(with_predictions=False).startswith("Masks of 1 image ")


def test_the_message_names_the_largest_classes_and_counts_the_others() -> None:
    pixels = {"void": 600, "sofa": 200, "chair": 100, "table": 60, "plant": 30, "bottle": 10}
    _, *classes = summary_lines(ExportSummary(written=("a.jpg",), class_pixels=pixels))
    assert classes[0] == "void: 600 px (60.0\u00a0%)", "a number and its sign stay together"
    assert classes[3:] == ["table: 60 px (6.0\u00a0%)", "and 2 more"]
    assert len(summary_lines(ExportSummary(class_pixels={"sofa": 1}))) == 2
