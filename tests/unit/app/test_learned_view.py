"""What a person reads of a model that has learned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.state.learned_view import figures, left_out_how, sentence
from deeplab_core.learning import LearnReport
from deeplab_core.training.adaptation.choosing import folds_of


def report(images: int) -> LearnReport:
    return LearnReport(
        verdict="better", summary="", images=images, background=3, pixels=9, corrected=(0.5, 0.8),
        held_out=(0.5, 0.6) if images > 1 else None, kept=0.99, step=20, steps=20, blend=0.5, layers="", seconds=1.0, classes=(),
    )  # fmt: skip


@pytest.mark.parametrize("images", [2, 3, 11, 12, 13, 40])
def test_the_explanation_says_what_was_really_left_out(images: int) -> None:
    folds, how = folds_of(images, 1), left_out_how(report(images))
    if len(folds) == 1:
        inside, outside = folds[0]
        assert f"{len(outside)} of the {images} corrected images were left out" in how
        assert f"learned from the other {len(inside)}" in how
        assert "every image" not in how
    else:
        assert len(folds) == 2
        assert "divided in two" in how
        assert "every image was left out once" in how
    assert "was chosen on the same images" in how


def test_nothing_left_out_is_a_dash_that_says_why() -> None:
    (title, value, tip), *_ = figures(report(1))
    assert (title, value) == ("mean IoU on images left out", "–")
    assert "nothing could be left out" in tip


def test_images_that_were_not_used_are_named() -> None:
    assert "Not used" not in sentence(report(3))
    text = sentence(replace(report(3), skipped=(("a.jpg", "it is truncated."), ("b.jpg", "no room"))))
    assert text.endswith("Not used: a.jpg (and 1 more): it is truncated.")
