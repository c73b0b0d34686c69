"""Splitting and joining components, the largest of every class, and jobs for a folder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.correction import ComponentJob, Corrector, JobResult, Provenance, run_component_job
from deeplab_core.correction.components import component_of
from deeplab_core.errors import AtrousError, CatalogError, MaskFormatError
from deeplab_core.regions import find_regions
from tests.unit.core.correction.scenes import CATALOG, correctors
from tests.unit.core.correction.test_components import after, drawn

CLASSES = [info.id for info in CATALOG.classes]


def test_a_line_cuts_a_component_and_the_smaller_part_gets_the_class() -> None:
    rows = ("........", ".dddddd.", ".dddddd.", "........")
    corrector = drawn(*rows)
    cut = [".dddddb.", ".dddddb."]
    assert after(corrector, corrector.split([(5.5, 0), (5.5, 3.9)], 7))[1:3] == cut
    corrector = drawn(*rows)
    assert after(corrector, corrector.split([(5.5, 0), (5.5, 3.9)], 7, at=(1.5, 1.5)))[1:3] == [".bbbbdd.", ".bbbbdd."], (
        "pixels under the line go to the rest"
    )
    assert drawn(*rows).split([(2.5, 0), (2.5, 1.9)], 7) is None, "the line ends inside"
    assert drawn(*rows).split([(0.5, 0), (7.5, 0.5)], 7) is None, "it runs beside"


def test_a_diagonal_line_lets_nothing_through_its_corners() -> None:
    corrector = drawn(*["dddddd"] * 6)
    parts = after(corrector, corrector.split([(0, 0), (5.9, 5.9)], 7))
    assert [row.count("b") for row in parts] in ([0, 0, 1, 2, 3, 4], [4, 3, 2, 1, 0, 0])


def test_components_of_two_classes_and_of_one_are_joined() -> None:
    corrector = drawn("dd...bb", "dd...bb")
    assert after(corrector, corrector.merge((0.5, 0.5), (6.5, 0.5))) == ["ddddddd", "ddddddd"]
    corrector = drawn("ddd..ddd", "ddd..ddd", "ddd..ddd", "........", "........", "ddd.....")
    joined = after(corrector, corrector.merge((0.5, 0.5), (7.5, 0.5)))
    assert joined[:3] == ["dddddddd"] * 3
    assert joined[5] == "ddd.....", "others of the class stay"
    corrector = drawn("ddbb")
    assert after(corrector, corrector.merge((0.5, 0.5), (3.5, 0.5))) == ["dddd"], "neighbours need no bridge"
    assert drawn("dd").merge((0, 0), (1, 0)) is None
    assert drawn("vd").merge((0, 0), (1, 0)) is None, "void joins nothing"


def test_every_class_keeps_its_largest_component() -> None:
    corrector = drawn("ddd..b", "ddd.d.", "...bbb", "d..bbb")
    assert after(corrector, corrector.keep_largest()) == ["ddd...", "ddd...", "...bbb", "...bbb"]


def test_sizes_count_islands_for_any_limit() -> None:
    sizes = drawn("d.d", "..d", "vvv").component_sizes()
    assert sizes.tolist() == [1, 2, 3]
    assert drawn("d.d", "..d").component_sizes(3).tolist() == [1, 2]
    with pytest.raises(CatalogError):
        drawn("d").component_sizes(4)


@st.composite
def lines(draw: st.DrawFn) -> tuple[Corrector, list[tuple[float, float]]]:
    corrector = draw(correctors())
    height, width = corrector.size
    point = st.tuples(st.floats(0, width - 0.01), st.floats(0, height - 0.01))
    return corrector, draw(st.lists(point, min_size=2, max_size=4))


@given(question=lines(), pointed=st.booleans())
def test_both_parts_of_a_split_are_components(question: tuple[Corrector, list[tuple[float, float]]], pointed: bool) -> None:
    corrector, path = question
    at = path[0] if pointed else None
    proposal = corrector.split(path, None, at)
    if proposal is None:
        return
    row, column = (int(part[0]) for part in np.nonzero(proposal.mask))
    box, mask = component_of(corrector.labels, column, row)
    whole = np.zeros(corrector.size, bool)
    whole[box.slices] = mask
    assert (whole | proposal.mask == whole).all(), "it is a part of one component"
    for part in (proposal.mask, whole & ~proposal.mask):
        assert len(find_regions(part.astype(np.uint8), part)) == 1
    rest = corrector.split(path, None, (column + 0.5, row + 0.5))
    assert rest is not None


@given(corrector=correctors(), data=st.data())
def test_what_is_joined_is_one_component(corrector: Corrector, data: st.DataObject) -> None:
    height, width = corrector.size
    point = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    first, second = data.draw(point), data.draw(point)
    cls = int(corrector.labels[first[1], first[0]])
    proposal = corrector.merge(first, second)
    if proposal is None:
        return
    corrector.apply(proposal)
    box, mask = component_of(corrector.labels, *first)
    assert int(corrector.labels[second[1], second[0]]) == cls
    assert mask[second[1] - box.y, second[0] - box.x]


@given(corrector=correctors())
def test_no_class_has_two_components_unless_void_is_around(corrector: Corrector) -> None:
    proposal = corrector.keep_largest()
    if proposal is not None:
        corrector.apply(proposal)
    ignore = corrector.catalog.ignore
    found = find_regions(corrector.labels, corrector.labels != ignore)
    groups = find_regions((corrector.labels != ignore).astype(np.uint8), corrector.labels != ignore)
    for cls in np.unique(found.values):
        for group in range(len(groups)):
            inside = (groups.numbers == group + 1) & (corrector.labels == cls)
            alone = len(np.unique(corrector.labels[groups.numbers == group + 1])) == 1
            assert alone or len(find_regions(inside.astype(np.uint8), inside)) <= 1


def run(job: ComponentJob, rows: list[str], painted: set[tuple[int, int]] = frozenset()) -> tuple[list[str], JobResult]:  # type: ignore[assignment]
    corrector = drawn(*rows)
    for x, y in painted:
        corrector.provenance[y, x] = Provenance.USER
    result = run_component_job(job, corrector.labels, corrector.provenance, CATALOG)
    shown = drawn(*rows)
    shown.labels = result.labels
    return after(shown, None), result


def test_a_job_does_what_the_tool_does_and_leaves_painted_pixels() -> None:
    rows, result = run(ComponentJob("drop islands", 3), ["d.....", ".....d", "..bb.."], {(5, 1)})
    assert rows == ["......", ".....d", "......"]
    assert (result.changed_pixels, result.kept_pixels) == (3, 1)
    assert result.provenance[0, 0] == Provenance.RECLASSIFIED
    rows, result = run(ComponentJob("grow", 1, 3), [".....", "..d..", "....."])
    assert rows == ["..d..", ".ddd.", "..d.."]
    assert result.provenance[0, 2] == Provenance.USER
    assert run(ComponentJob("fill holes", 1, 3), ["ddd", "d.d", "ddd"])[0] == ["ddd"] * 3
    assert run(ComponentJob("keep largest"), ["dd.d", "...."])[0] == ["dd..", "...."]
    assert run(ComponentJob("shrink", 1, 3), ["ddd."])[0] == ["dd.."]
    assert run(ComponentJob("smooth", 2, 3), [".....", "..d..", "....."])[0] == ["....."] * 3
    corrector = drawn("dd")
    result = run_component_job(ComponentJob("drop islands", 9), corrector.labels, corrector.provenance, CATALOG)
    assert result.labels is corrector.labels


@given(
    corrector=correctors(),
    px=st.integers(1, 9),
    operation=st.sampled_from(["drop islands", "fill holes", "keep largest", "grow", "shrink", "smooth"]),
)
def test_a_job_changes_no_painted_pixel_and_counts_what_it_changes(corrector: Corrector, px: int, operation: str) -> None:
    cls = corrector.catalog.classes[1].id
    labels, provenance = corrector.labels.copy(), corrector.provenance.copy()
    result = run_component_job(ComponentJob(operation, px, cls), corrector.labels, corrector.provenance, corrector.catalog)  # type: ignore[arg-type]
    assert np.array_equal(labels, corrector.labels)
    assert np.array_equal(provenance, corrector.provenance)
    own = (provenance == Provenance.USER) | (provenance > Provenance.RECLASSIFIED)
    assert np.array_equal(result.labels[own], labels[own])
    assert np.array_equal(result.provenance[own], provenance[own])
    assert result.changed_pixels == np.count_nonzero(result.labels != labels)


def test_a_job_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(AtrousError, match="needs a class"):
        ComponentJob("grow", 1)
    with pytest.raises(AtrousError, match="number of px"):
        ComponentJob("drop islands", 0)
    labels, provenance = np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    with pytest.raises(CatalogError):
        run_component_job(ComponentJob("grow", 1, 4), labels, provenance, CATALOG)
    with pytest.raises(AtrousError, match="differ in size"):
        run_component_job(ComponentJob("grow", 1, 3), labels, provenance[:1], CATALOG)
    with pytest.raises(MaskFormatError):
        run_component_job(ComponentJob("grow", 1, 3), labels + 4, provenance, CATALOG)
