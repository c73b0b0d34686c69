"""The simulated labeller of ``benchmarks/strokes.py``: figures that come from it rest on these rules."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.correction import Corrector, Proposal
from tests.benchmark_scripts import load_script
from tests.unit.core.correction.scenes import disk_scene

labeller = load_script("labeller")


def case() -> labeller.Case:  # type: ignore[name-defined]
    """A disk of class 1 that the mask lacks, a false square of class 2, and a void ring."""
    rgb, inside = disk_scene(96, 128)
    truth = np.where(inside, 1, 0).astype(np.uint8)
    truth[:, :3] = 255
    labels = np.zeros_like(truth)
    labels[70:90, 90:120] = 2
    labels[:, :3] = 7
    scores = np.zeros((21, 12, 16), np.float32)
    scores[0] = 1
    return labeller.Case("drawn", rgb, truth, labels, scores)


def test_the_mean_is_over_the_classes_of_the_truth_and_void_counts_nowhere() -> None:
    drawn = case()
    counted = drawn.truth != 255
    ground = (drawn.truth == 0) & (drawn.labels == 0)
    union = ((drawn.truth == 0) | (drawn.labels == 0)) & counted
    assert drawn.start == pytest.approx((ground.sum() / union.sum() + 0) / 2)


def test_it_works_on_the_largest_component_and_points_at_its_deepest_pixel() -> None:
    drawn = case()
    target = labeller.choose(drawn, drawn.labels, "area")
    assert target is not None
    assert (target.cls, target.pixels) == (1, int((drawn.truth == 1).sum()))
    assert abs(target.x - 64) <= 1
    assert abs(target.y - 48) <= 1
    assert (target.gain == 1).sum() == target.pixels
    assert not target.gain[:, :3].any()
    assert labeller.choose(drawn, drawn.truth, "area") is None


def test_an_offer_counts_right_pixels_less_spoiled_ones() -> None:
    drawn = case()
    mask = np.zeros(drawn.truth.shape, bool)
    mask[:, 60:70] = True
    right = int((mask & (drawn.truth == 1)).sum())
    wrong = int((mask & (drawn.truth == 0) & (drawn.labels == 0)).sum())
    assert labeller.won(drawn, drawn.labels, Proposal(mask, 1, 3)) == right - wrong


@pytest.mark.parametrize(
    "tools",
    [("exact",), ("exact object",), ("brush",), ("brush", "freehand"), ("lasso",), ("brush", "over", "components", "regions")],
)
def test_an_image_gets_better_until_it_is_done_and_the_same_way_each_time(tools: tuple[str, ...]) -> None:
    curve, again = (labeller.work(case(), labeller.Row(tools)) for _ in range(2))
    assert curve["iou"][-1] >= 0.95
    assert curve["iou"] == again["iou"]
    assert curve["tools"] == again["tools"]
    assert len(curve["iou"]) - 1 <= 30
    assert tools not in (("exact",), ("exact object",)) or len(curve["iou"]) - 1 <= 2
    assert all(later > before for before, later in zip(curve["seconds"][:-1], curve["seconds"][1:], strict=True))


def test_an_unsteady_hand_misses_by_about_its_error() -> None:
    mask = np.zeros((200, 200), bool)
    mask[50:150, 50:150] = True
    moved = labeller.shaken_mask(Proposal(mask, 1, 3), np.random.default_rng(0))
    assert moved is not None
    changed = (moved.mask != mask).sum() / 400
    assert 0.4 < changed < 3


@pytest.mark.parametrize(
    "tool",
    ["brush", "over", "freehand", "lasso", "snapping lasso", "components", "regions", "region strokes", "scribble", "border"],
)
def test_every_tool_makes_offers_that_do_not_change_the_mask(tool: str) -> None:
    drawn = case()
    corrector = Corrector(drawn.rgb, drawn.labels, catalog=labeller.CATALOG, scores=drawn.scores)
    target = labeller.choose(drawn, drawn.labels, "area")
    row = labeller.Row((tool, "over") if tool != "over" else ("over",))
    found = [offer for offer in labeller.offers(row, drawn, target, corrector, None) if offer.tool == tool]
    assert np.array_equal(corrector.labels, drawn.labels)
    if tool != "border":  # the disk is deeper than a border
        assert found
    for offer in found:
        assert offer.seconds >= labeller.CLICK
        assert offer.proposal.mask.any()


def test_offers_that_cannot_win_are_left_out_and_the_choice_stays() -> None:
    """What a row chooses does not depend on the bounds by which it saves time."""
    drawn = case()
    labels = drawn.labels.copy()
    rng = np.random.default_rng(0)
    row = labeller.Row(("brush", "over", "components", "regions", "region strokes", "scribble", "border"))
    for cls in (0, 1, 2, 0, 1, 2):
        y, x = rng.integers(10, 80), rng.integers(10, 110)
        labels[y : y + 4, x : x + 9] = cls
        corrector = Corrector(drawn.rgb, labels, catalog=labeller.CATALOG, scores=drawn.scores)
        target = labeller.choose(drawn, labels, "area")
        assert target is not None
        every, few = labeller.Most(counts=False), labeller.Most()
        most, _ = labeller.best(drawn, labels, labeller.offers(row, drawn, target, corrector, None, every), every)
        chosen, _ = labeller.best(drawn, labels, labeller.offers(row, drawn, target, corrector, None, few), few)
        assert (few.gain, chosen.tool, chosen.seconds) == (every.gain, most.tool, most.seconds)
        assert np.array_equal(chosen.proposal.mask, most.proposal.mask)
        corrector.apply(chosen.proposal)
        labels = corrector.labels.copy()


def test_by_cost_of_iou_it_takes_the_component_whose_repair_helps_most() -> None:
    drawn = case()
    target = labeller.choose(drawn, drawn.labels, "iou")
    found = labeller.components_of(drawn.truth, drawn.labels)
    means = []
    for row in range(len(found)):
        repaired = drawn.labels.copy()
        repaired[found.numbers == row + 1] = found.values[row]
        means.append(labeller.mean_iou(drawn.truth, repaired))
    assert target is not None
    assert np.array_equal(target.mask, found.mask(int(np.argmax(means))))
