"""What is shown before an edit is what the edit changes: locked classes, classes to paint over, a side of the trimap band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.state.document import Document
from app.state.edits import StrokeSession, fill_patch, region_patch
from app.state.edits.limits import EditLimits, changing, refusal, writable
from app.state.edits.proposal import job_patch, proposal_patch
from app.state.edits.region import connected_region
from app.state.locks import Locks
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog
from deeplab_core.correction import ComponentJob, Proposal
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box

VOC = get_catalog("voc21")
SHAPE = (9, 12)
IDS = (0, 9, 18, 255)


@dataclass
class Case:
    document: Document
    box: Box
    where: np.ndarray
    limits: EditLimits

    @property
    def before(self) -> np.ndarray:
        return self.document.labels.copy()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    labels = draw(arrays(np.uint8, SHAPE, elements=st.sampled_from(IDS)))
    provenance = draw(arrays(np.uint8, SHAPE, elements=st.sampled_from((0, 1, 3))))
    document = Document(labels, VOC, provenance)
    document.locks = Locks(draw(st.frozensets(st.sampled_from((0, 9, 18)), max_size=2)))
    over = draw(st.none() | st.frozensets(st.sampled_from(IDS), min_size=1, max_size=2))
    part = draw(st.none() | arrays(np.bool_, SHAPE))
    x, y = draw(st.integers(0, 11)), draw(st.integers(0, 8))
    box = Box(x, y, draw(st.integers(1, 12 - x)), draw(st.integers(1, 9 - y)))
    return Case(document, box, draw(arrays(np.bool_, box.size)), EditLimits(over, part))


def changed(document: Document, before: np.ndarray) -> np.ndarray:
    found: np.ndarray = document.labels != before
    return found


def whole(case: Case, mask: np.ndarray) -> np.ndarray:
    found = np.zeros(SHAPE, np.bool_)
    found[case.box.slices] = mask
    return found


@settings(deadline=None)
@given(cases(), st.sampled_from((0, 9, 18)))
def test_an_outline_changes_what_is_shown_and_never_a_protected_pixel(case: Case, value: int) -> None:
    document, before = case.document, case.before
    shown = whole(case, changing(document, case.box, case.where, value, case.limits))
    if value in document.locked:
        assert not shown.any()
        with pytest.raises(AtrousError):
            region_patch(document, case.box, case.where, value, limits=case.limits)
        return
    document.apply(region_patch(document, case.box, case.where, value, limits=case.limits))
    assert np.array_equal(changed(document, before), shown)
    assert not (shown & np.isin(before, list(document.locked))).any()
    assert case.limits.over is None or np.isin(before[shown], list(case.limits.over)).all()
    assert case.limits.part is None or case.limits.part[shown].all()


@settings(deadline=None)
@given(cases(), st.sampled_from((Provenance.RECLASSIFIED, Provenance.USER)), st.none() | st.sampled_from((0, 9, 18)), st.data())
def test_a_proposal_changes_what_is_shown(case: Case, source: Provenance, value: int | None, data: st.DataObject) -> None:
    document, before = case.document, case.before
    ids = data.draw(arrays(np.uint8, case.box.size, elements=st.sampled_from((0, 9, 18)))) if value is None else value
    proposal = Proposal.within(SHAPE, case.box, case.where, ids, int(source))
    if proposal is not None:
        shown = whole(case, changing(document, case.box, case.where, ids, case.limits))
        document.apply(proposal_patch(document, proposal, case.limits))
        assert np.array_equal(changed(document, before), shown)


@settings(deadline=None)
@given(cases(), st.integers(0, 11), st.integers(0, 8), st.sampled_from((0, 9, 18)))
def test_a_fill_changes_what_is_shown(case: Case, x: int, y: int, value: int) -> None:
    document, before = case.document, case.before
    box, where = connected_region(document.labels, x, y)
    shown = np.zeros(SHAPE, np.bool_)
    shown[box.slices] = changing(document, box, where, value, case.limits)
    try:
        document.apply(fill_patch(document, x + 0.5, y + 0.5, value, limits=case.limits))
    except AtrousError:
        assert not shown.any()
    assert np.array_equal(changed(document, before), shown)


@settings(deadline=None)
@given(cases(), st.sampled_from((0, 9, 18)))
def test_a_stroke_changes_what_is_shown(case: Case, value: int) -> None:
    document, before = case.document, case.before
    if value in document.locked:
        return
    stroke = StrokeSession(document, value=value, diameter=40, limits=case.limits)
    box, everywhere = Box.whole(SHAPE), np.ones(SHAPE, np.bool_)
    shown = changing(document, box, everywhere, value, case.limits)
    stroke.begin(6, 4)
    document.apply(stroke.commit())
    assert np.array_equal(changed(document, before), shown)


@settings(deadline=None)
@given(cases())
def test_an_operation_on_a_folder_keeps_what_is_protected(case: Case) -> None:
    document, before = case.document, case.before
    document.apply(job_patch(document, ComponentJob("drop islands", 4), case.limits)[0])
    found = changed(document, before)
    free = writable(document, Box.whole(SHAPE), np.ones(SHAPE, np.bool_), document.labels, case.limits)
    assert not (found & np.isin(before, list(document.locked))).any()
    assert case.limits.over is None or np.isin(before[found], list(case.limits.over)).all()
    assert case.limits.part is None or case.limits.part[found].all()
    assert free.shape == SHAPE


@settings(deadline=None)
@given(cases(), st.none() | st.sampled_from((0, 9, 18)))
def test_there_is_a_reason_exactly_where_nothing_may_change(case: Case, value: int | None) -> None:
    free = writable(case.document, case.box, case.where, value, case.limits)
    why = refusal(case.document, case.box, case.where, value, case.limits)
    assert (why is None) == (bool(free.any()) or not case.where.any())


def test_reasons_name_what_protects() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 6:] = 9
    document = Document(labels, VOC)
    left, right, both = (np.zeros(SHAPE, np.bool_) for _ in range(3))
    left[:, :6], right[:, 6:], both[:] = True, True, True
    box = Box.whole(SHAPE)
    over, band = EditLimits(frozenset({18})), EditLimits(part=left)
    assert refusal(document, box, right, None, over) == "chair is not among the classes that may be painted over"
    assert refusal(document, box, both, None, over) == "None of these classes may be painted over"
    assert refusal(document, box, right, None, band) == "All of it is on the side of the trimap band that is not painted"
    assert refusal(document, box, right, None, EditLimits(reason=message("No band"))) == "No band"
    document.locks = Locks(frozenset({9}))
    assert refusal(document, box, right) == "chair is locked"
    assert refusal(document, box, left, 9) == "chair is locked"
    assert refusal(document, box, both) is None
    document.locks = Locks(frozenset({0, 9}))
    assert refusal(document, box, both) == "These classes are locked"


def test_a_coarse_mask_is_asked_at_the_middles_of_its_pixels() -> None:
    labels = np.zeros((9, 12), np.uint8)
    labels[:, 6:] = 9
    document = Document(labels, VOC)
    document.locks = Locks(frozenset({9}))
    coarse = np.ones((3, 4), np.bool_)
    assert np.array_equal(writable(document, Box.whole((9, 12)), coarse, 18), np.array([[1, 1, 0, 0]] * 3, np.bool_))
