"""What every tool promises, whatever the image: the class of faults, not single pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.correction import BANDS, LEVELS, REACHES, Corrector, Patch, Proposal, Provenance
from deeplab_core.errors import AtrousError, CatalogError, ComputeError, MaskFormatError
from deeplab_core.geometry import Box
from deeplab_core.labels import painted
from tests.unit.core.correction.scenes import CATALOG, WIDE, correctors, disk_corrector, disk_scene, scores_of

Ask = Callable[[Corrector, int, int, int], Proposal | None]

#: Every tool as a question about a point and a class.
TOOLS: dict[str, Ask] = {
    "component_at": lambda c, x, y, cls: c.component_at(x, y, cls),
    "component_at guess": lambda c, x, y, _cls: c.component_at(x, y),
    "dissolve_at": lambda c, x, y, _cls: c.dissolve_at(x, y),
    "fill_holes": lambda c, _x, y, cls: c.fill_holes(cls, y + 1),
    "drop_islands": lambda c, _x, y, _cls: c.drop_islands(y + 2),
    "drop_islands of a class": lambda c, _x, y, cls: c.drop_islands(y + 2, cls),
    "keep_largest": lambda c, _x, _y, cls: c.keep_largest(cls),
    "keep_largest of every class": lambda c, _x, _y, _cls: c.keep_largest(),
    "merge": lambda c, x, y, _cls: c.merge((x, y), (0, 0)),
    "grow": lambda c, _x, y, cls: c.grow(y % 4 + 1, cls),
    "shrink": lambda c, _x, y, cls: c.shrink(y % 4 + 1, cls),
    "smooth": lambda c, _x, y, cls: c.smooth(y % 4 + 1, cls),
    "region_at": lambda c, x, y, cls: c.region_at(x, y, (x + y) % LEVELS, cls),
    "region_at guess": lambda c, x, y, _cls: c.region_at(x, y, (x + y) % LEVELS),
    "regions_along": lambda c, x, y, cls: c.regions_along([(x, y), (0, 0)], y % LEVELS, cls),
    "scribble": lambda c, x, y, cls: c.scribble([(x, y), (0.5, 0.5)], cls, REACHES[x % 3]),
    "snap_border": lambda c, x, y, _cls: c.snap_border(x, y, BANDS[x % 3]),
    "lasso": lambda c, x, y, cls: c.lasso([(0, 0), (x + 1, 0), (x + 1, y + 1)], cls),
    "snapping lasso": lambda c, x, y, cls: c.lasso([(0, 0), (x + 1, 0), (x + 1, y + 1), (0, y + 1)], cls, snap=3),
}
#: Tools that choose pixels by computation: they leave what the user painted alone.
BY_MACHINE = ("scribble", "snap_border")


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_tool_offers_valid_labels_and_changes_nothing_outside_of_its_mask(tool: str, data: st.DataObject) -> None:
    corrector = data.draw(correctors())
    height, width = corrector.size
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    cls = data.draw(st.sampled_from([info.id for info in corrector.catalog.classes]))
    labels, provenance = corrector.labels.copy(), corrector.provenance.copy()
    proposal = TOOLS[tool](corrector, x, y, cls)
    assert np.array_equal(corrector.labels, labels), "asking changes nothing"
    again = TOOLS[tool](corrector, x, y, cls)
    if proposal is None:
        assert again is None
        return
    assert again is not None
    assert np.array_equal(proposal.mask, again.mask), "the same question has the same answer"
    assert np.array_equal(_ids(proposal)[proposal.mask], _ids(again)[proposal.mask])
    assert proposal.mask.any()
    assert proposal.bounds.holds(Proposal(proposal.mask, 0, 0).bounds)
    patch = corrector.apply(proposal)
    assert np.array_equal(corrector.labels, np.where(proposal.mask, _ids(proposal), labels))
    assert (corrector.labels != labels).any() or (corrector.provenance != provenance).any(), "an offer changes something"
    assert np.array_equal(corrector.provenance[~proposal.mask], provenance[~proposal.mask])
    if tool in BY_MACHINE:
        held = painted(provenance)
        stroke = proposal.provenance == Provenance.USER if isinstance(proposal.provenance, np.ndarray) else np.zeros_like(held)
        assert not (held & proposal.mask & ~stroke).any(), "a machine changes no painted pixel"
    corrector.update(patch.inverted())
    assert np.array_equal(corrector.labels, labels)
    assert np.array_equal(corrector.provenance, provenance)


def _ids(proposal: Proposal) -> np.ndarray:
    return np.broadcast_to(np.asarray(proposal.labels), proposal.mask.shape)


@settings(max_examples=60)
@given(data=st.data())
def test_a_scribble_turns_one_other_class_into_its_own(data: st.DataObject) -> None:
    corrector = data.draw(correctors())
    height, width = corrector.size
    points = data.draw(st.lists(st.tuples(st.floats(-3, width + 3), st.floats(-3, height + 3)), min_size=1, max_size=4))
    points.append((data.draw(st.integers(0, width - 1)) + 0.5, data.draw(st.integers(0, height - 1)) + 0.5))
    cls = data.draw(st.sampled_from([info.id for info in corrector.catalog.classes]))
    proposal = corrector.scribble(points, cls, data.draw(st.floats(0.5, 40)))
    if proposal is not None:
        assert proposal.labels == cls
        taken = set(np.unique(corrector.labels[proposal.mask]).tolist())
        assert len(taken) == 1
        assert not taken & {cls, corrector.catalog.ignore}


@pytest.mark.parametrize("tool", TOOLS)
def test_nothing_to_offer_on_an_image_of_one_class(tool: str) -> None:
    rgb, inside = disk_scene()
    corrector = Corrector(rgb, np.full(inside.shape, 3, np.uint8), catalog=CATALOG)
    assert TOOLS[tool](corrector, 20, 20, 3) is None


@pytest.mark.parametrize("tool", [name for name in TOOLS if name not in ("component_at", "region_at", "regions_along")])
def test_an_image_of_void_offers_outlines_only(tool: str) -> None:
    rgb, inside = disk_scene()
    corrector = Corrector(rgb, np.full(inside.shape, 255, np.uint8), catalog=CATALOG)
    proposal = TOOLS[tool](corrector, 20, 20, 3)
    assert (proposal is not None) == ("lasso" in tool)


POINT_TOOLS: dict[str, Callable[[Corrector, float, float], Any]] = {
    "component_at": lambda c, x, y: c.component_at(x, y, 3),
    "dissolve_at": lambda c, x, y: c.dissolve_at(x, y),
    "region_at": lambda c, x, y: c.region_at(x, y, 4, 3),
    "region_preview": lambda c, x, y: c.region_preview(x, y, 4),
    "next_level": lambda c, x, y: c.next_level(x, y, 4, 1),
    "snap_border": lambda c, x, y: c.snap_border(x, y, 5),
    "split": lambda c, x, y: c.split([(x, y), (x, y)], 3),
    "merge": lambda c, x, y: c.merge((x, y), (1, 1)),
    "regions_along": lambda c, x, y: c.regions_along([(x, y)], 4, 3),
    "scribble": lambda c, x, y: c.scribble([(x, y), (x, y)], 3, 12),
}


@pytest.mark.parametrize("tool", POINT_TOOLS)
@pytest.mark.parametrize(
    "point", [(-1, 5), (5, -0.01), (64, 5), (5, 48), (1e300, 0), (5, -1e18), (float("nan"), 1), (1, float("inf"))]
)
def test_a_point_outside_is_named(tool: str, point: tuple[float, float]) -> None:
    corrector, _ = disk_corrector()
    with pytest.raises(AtrousError, match=r"outside of the image of 64 x 48") as caught:
        POINT_TOOLS[tool](corrector, *point)
    assert caught.value.remedy


def test_a_path_may_leave_the_image_and_costs_its_part_inside() -> None:
    corrector, _ = disk_corrector()
    whole = corrector.scribble([(-9e5, 24.5), (9e5, 24.5)], 3, 5)
    part = corrector.scribble([(0, 24.5), (63.9, 24.5)], 3, 5)
    assert whole is not None
    assert part is not None
    assert np.array_equal(whole.mask, part.mask)
    lasso = corrector.lasso([(-9e5, -9e5), (9e5, -9e5), (9e5, 9e5), (-9e5, 9e5)], 3)
    assert lasso is not None
    assert lasso.mask.all()
    assert corrector.lasso([(-50, -50), (-10, -50), (-10, -10)], 3) is None
    assert corrector.lasso([(1, 1), (9, 9)], 3) is None


BAD_PATHS = [[], [(1, 2, 3)], [1, 2], "path", [(float("nan"), 0)], [(1e7, 1e7), (2, 2)], [("a", "b")], [[1, 2], [3]]]


@pytest.mark.parametrize("path", BAD_PATHS, ids=str)
def test_a_path_that_is_none_is_refused(path: Any) -> None:
    corrector, _ = disk_corrector()
    for ask in (
        lambda: corrector.lasso(path, 3),
        lambda: corrector.scribble(path, 3, 9),
        lambda: corrector.regions_along(path, 0, 3),
    ):
        with pytest.raises(AtrousError, match="path"):
            ask()


def test_arguments_out_of_range_are_named() -> None:
    corrector, _ = disk_corrector()
    for ask, words in (
        (lambda: corrector.region_at(1, 1, 12), "no level 12"),
        (lambda: corrector.region_at(1, 1, -1), "no level -1"),
        (lambda: corrector.scribble([(1, 1)], 3, 0), "reaches 0 px"),
        (lambda: corrector.scribble([(1, 1)], 3, float("nan")), "reaches nan px"),
        (lambda: corrector.snap_border(1, 1, 0), "band is 0"),
        (lambda: corrector.lasso([(1, 1), (5, 1), (5, 5)], 3, snap=-2), "snaps over -2"),
        (lambda: corrector.fill_holes(3, 0), "hole is 0"),
        (lambda: corrector.drop_islands(0), "island is 0"),
        (lambda: corrector.grow(0, 3), "px is 0"),
        (lambda: corrector.guess(np.zeros((2, 2), bool)), "2 x 2"),
    ):
        with pytest.raises(AtrousError, match=words):
            ask()
    for ask in (lambda: corrector.lasso([(1, 1), (5, 1), (5, 5)], 4), lambda: corrector.keep_largest(255)):
        with pytest.raises(CatalogError):
            ask()


def test_input_that_does_not_fit_is_named() -> None:
    rgb, inside = disk_scene()
    labels = np.zeros(inside.shape, np.uint8)
    with pytest.raises(AtrousError, match="uint8, not"):
        Corrector(rgb.astype(np.uint16), labels, catalog=CATALOG)
    with pytest.raises(AtrousError, match="uint8, not"):
        Corrector(rgb[:0], labels[:0], catalog=CATALOG)
    with pytest.raises(AtrousError, match="64 x 48"):
        Corrector(rgb, labels[:9], catalog=CATALOG)
    with pytest.raises(MaskFormatError):
        Corrector(rgb, labels + np.uint8(1), catalog=CATALOG)
    with pytest.raises(MaskFormatError):
        Corrector(rgb, labels.astype(np.uint16), catalog=CATALOG)
    with pytest.raises(AtrousError, match="of 3 classes"):
        Corrector(rgb, labels, catalog=CATALOG, scores=np.zeros((2, 4, 4)))
    with pytest.raises(ComputeError, match="not finite"):
        Corrector(rgb, labels, catalog=CATALOG, scores=np.full((3, 4, 4), np.nan))
    with pytest.raises(AtrousError, match="provenance"):
        Corrector(rgb, labels, catalog=CATALOG, provenance=np.zeros((2, 2), np.uint8))


def test_scores_and_probabilities_are_told_apart() -> None:
    rgb, inside = disk_scene()
    labels = np.where(inside, 3, 0).astype(np.uint8)
    probabilities = scores_of(labels, CATALOG)
    from_probabilities = Corrector(rgb, labels, catalog=CATALOG, scores=probabilities)
    from_scores = Corrector(rgb, labels, catalog=CATALOG, scores=np.log(probabilities).astype(np.float16))
    assert from_probabilities.guess(inside) == from_scores.guess(inside) == 7


def test_the_guess_is_the_networks_second_class_and_without_one_the_surroundings() -> None:
    rgb, inside = disk_scene()
    labels = np.where(inside, 3, 0).astype(np.uint8)
    assert Corrector(rgb, labels, catalog=CATALOG, scores=scores_of(labels, CATALOG)).guess(inside) == 7
    plain = Corrector(rgb, labels, catalog=CATALOG)
    assert plain.guess(inside) == 0
    assert plain.guess(np.ones_like(inside)) is None
    assert plain.guess(np.zeros_like(inside)) is None
    proposal = plain.component_at(32, 24)
    assert proposal is not None
    assert proposal.labels == 0


def test_a_class_given_to_a_region_leaves_painted_pixels_the_users() -> None:
    rgb, inside = disk_scene()
    provenance = np.zeros(inside.shape, np.uint8)
    provenance[20:24] = 3
    corrector = Corrector(rgb, np.zeros(inside.shape, np.uint8), catalog=CATALOG, provenance=provenance)
    proposal = corrector.component_at(1, 1, 3)
    assert proposal is not None
    corrector.apply(proposal)
    assert (corrector.labels == 3).all()
    assert (corrector.provenance[20:24] == 3).all()
    assert (corrector.provenance[:20] == Provenance.RECLASSIFIED).all()


def test_a_proposal_of_another_image_is_refused() -> None:
    corrector, inside = disk_corrector()
    with pytest.raises(AtrousError, match="does not fit"):
        corrector.apply(Proposal(np.ones((3, 3), bool), 3, 3))
    with pytest.raises(CatalogError):
        corrector.apply(Proposal(inside, 4, 3))
    with pytest.raises(CatalogError):
        corrector.apply(Proposal(inside, np.full(inside.shape, 4, np.uint8), 3))
    nothing = np.zeros((3, 3), np.uint8)
    with pytest.raises(AtrousError, match="outside of the image"):
        corrector.update(Patch(Box(63, 0, 3, 3), nothing, nothing, nothing, nothing))
    empty = corrector.apply(Proposal(np.zeros(inside.shape, bool), 3, 3))
    assert empty.changed_pixels == 0


class Clicks:
    """Offers the disk, then everything."""

    def __init__(self, inside: np.ndarray) -> None:
        self.inside = inside
        self.asked: list[tuple[Any, ...]] = []

    def masks(self, rgb: Any, points: Any, positive: Any, box: Any, previous: Any) -> list[np.ndarray]:
        self.asked.append((rgb.shape, points.tolist(), positive.tolist(), box, int(previous.sum())))
        return [self.inside, np.ones_like(self.inside), np.zeros_like(self.inside)]


@pytest.mark.parametrize("catalog", [CATALOG, WIDE], ids=["8 bits", "16 bits"])
def test_clicks_offer_what_a_model_finds_and_keep_what_the_user_painted(catalog: Any) -> None:
    rgb, inside = disk_scene()
    model, cls = Clicks(inside), catalog.classes[1].id
    provenance = np.zeros(inside.shape, np.uint8)
    provenance[:, 30:34] = 3
    labels = np.zeros(inside.shape, catalog.dtype)
    corrector = Corrector(rgb, labels, catalog=catalog, click_model=model, provenance=provenance)
    found = corrector.click([(32, 24), (1, 1)], [True, False], cls, box=(10, 5, 50, 40))
    assert found is not None
    assert len(found) == 2, "a candidate that changes nothing is left out"
    assert np.array_equal(found[0].mask, inside & (provenance != 3))
    assert model.asked == [((48, 64, 3), [[32, 24], [1, 1]], [True, False], (10, 5, 50, 40), 0)]
    with pytest.raises(AtrousError, match="1 signs"):
        corrector.click([(32, 24), (1, 1)], [True], cls)
    with pytest.raises(AtrousError, match="outside"):
        corrector.click([(64, 24)], [True], cls)
    model.inside = inside[:9]
    with pytest.raises(AtrousError, match="click model"):
        corrector.click([(32, 24)], [True], cls)


def test_without_a_click_model_there_are_no_clicks() -> None:
    corrector, _ = disk_corrector()
    assert corrector.click([(32, 24)], [True], 3) is None
