"""What the user reads about a model that has learned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.viewmodels.adapt.learned_view import faded, figures, left_out_how, lost_besides, lost_most, lost_perhaps, sentence
from deeplab_core.learning import ClassGain, GainInterval, LearnReport
from deeplab_core.training.adaptation.choosing import folds_of


def report(images: int) -> LearnReport:
    return LearnReport(
        verdict="better", summary="", images=images, background=3, pixels=9, corrected=(0.5, 0.8),
        held_out=(0.5, 0.6) if images > 1 else None, kept=0.99, step=20, steps=20, blend=0.5, layers="", seconds=1.0, classes=(),
    )  # fmt: skip


@pytest.mark.parametrize("images", [2, 3, 11, 12, 13, 40])
def test_the_explanation_says_what_was_really_left_out(images: int) -> None:
    folds, how = folds_of(images, 1), left_out_how(report(images))
    assert f"The {images} corrected images were split into {len(folds)} groups" in how
    assert "every image was held out once" in how
    assert "was chosen on the same images" in how


def test_nothing_left_out_is_a_dash_that_says_why() -> None:
    (title, value, tip), *_ = figures(report(1))
    assert (title, value) == ("mean IoU on held-out images", "–")
    assert "none could be held out" in tip


def gained(name: str, gain: float, low: float | None, high: float | None, images: int = 4) -> ClassGain:
    change = GainInterval(gain=gain, low=low, high=high, images=images)
    return ClassGain(id=0, name=name, color=(0, 0, 0), pixels=9, images=images, change=change)


def test_the_class_that_lost_most_is_named_with_its_interval() -> None:
    gain = GainInterval(gain=0.052, low=0.011, high=0.093, images=4)
    learned = replace(report(4), change=gain, classes=(gained("chair", 0.1, 0.05, 0.15), gained("sofa", -0.01, -0.02, 0.0)))
    assert figures(learned)[0][0] == "mean IoU on held-out images, +5.2 points (+1.1 to +9.3, 4 images)"
    lost = "Largest loss: sofa, −1.0 points (−2.0 to 0.0, 4 images); uncertain, because the interval includes 0."
    assert lost_most(learned) == lost
    assert lost_most(learned) in sentence(learned)
    worse = replace(learned, classes=(*learned.classes, gained("person", -0.05, -0.09, -0.01)))
    assert lost_most(worse) == "Largest loss: person, −5.0 points (−9.0 to −1.0, 4 images)."
    alone = replace(learned, classes=(gained("cat", -0.2, None, None, 1),))
    assert lost_most(alone) == "Largest loss: cat, −20.0 points (1 image); uncertain, with one image."
    assert lost_most(replace(learned, classes=(gained("chair", 0.1, 0.05, 0.15),))) == ""


def test_every_class_that_lost_more_than_its_interval_is_named() -> None:
    classes = (
        gained("bus", -0.02, -0.03, -0.01), gained("cat", -0.3, -0.7, 0.1), gained("dog", -0.04, -0.06, -0.02),
        gained("cow", 0.1, 0.05, 0.15), gained("hen", -0.01, None, None, 1),
    )  # fmt: skip
    learned = replace(report(4), classes=classes)
    assert [row.name for row in learned.lost_surely] == ["dog", "bus"]
    assert lost_besides(learned) == "Also lost: dog (−4.0), bus (−2.0) points."
    assert lost_besides(learned) in sentence(learned)
    assert lost_besides(replace(learned, classes=classes[:1])) == ""  # it is named already


def test_classes_that_may_have_lost_are_named_too() -> None:
    classes = (
        gained("bus", -0.02, -0.03, -0.01), gained("cat", -0.3, -0.7, 0.1), gained("hen", -0.01, None, None, 1),
        gained("pig", -0.015, -0.04, 0.01), gained("cow", -0.0002, -0.1, 0.1),
    )  # fmt: skip
    learned = replace(report(4), classes=classes)
    assert lost_perhaps(learned) == "May have lost, uncertain: pig (−1.5), hen (−1.0) points."  # cat lost most
    assert lost_perhaps(learned) in sentence(learned)
    assert lost_perhaps(report(4)) == ""


def test_classes_that_changed_elsewhere_are_named() -> None:
    learned = replace(report(4), faded=(("tv", 0.5), ("dog", 0.8)))
    assert faded(learned) == "Confident predictions kept on unedited images, fewest: tv (50.0 %), dog (80.0 %)."
    assert faded(learned) in sentence(learned)
    assert faded(report(4)) == ""


def test_images_that_were_not_used_are_named() -> None:
    assert "Not used" not in sentence(report(3))
    text = sentence(replace(report(3), skipped=(("a.jpg", "it is truncated."), ("b.jpg", "no room"))))
    assert text.endswith("Not used: a.jpg (and 1 more): it is truncated.")
