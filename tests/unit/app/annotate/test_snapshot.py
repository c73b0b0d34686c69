"""A copy at a step boundary: no half stroke in it, whatever is painted before, while and after it is taken."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state.document import Document
from app.state.edits import StrokeSession
from deeplab_core.catalogs import get_catalog
from tests.unit.app.folders import paint

VOC = get_catalog("voc21")
SHAPE = 150, 210


def copy(document):
    return document.labels.copy(), document.provenance.copy()


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def begin(document, seed):
    rng = np.random.default_rng(seed)
    session = StrokeSession(document, value=int(rng.integers(0, 20)), diameter=float(rng.integers(1, 40)))
    session.begin(*rng.uniform((0, 0), SHAPE[::-1]))
    return session, [tuple(point) for point in rng.uniform((0, 0), SHAPE[::-1], size=(5, 2))]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 5), min_size=1, max_size=6), st.booleans())
def test_a_copy_holds_whole_steps_only(seed, taken_after, abort):
    """Copies asked for and taken at any moments of a stroke equal the document before the stroke."""
    document = Document.blank(SHAPE, VOC)
    paint(document, seed)
    boundary = copy(document)
    session, points = begin(document, seed + 1)
    asked, copies = [document.snapshot()], []
    for number, point in enumerate(points):
        session.extend([point])
        if number in taken_after:
            asked.append(document.snapshot())
            copies.append(asked.pop(0).take())
    if abort:
        session.abort()
    else:
        session.commit()
    copies += [snapshot.take() for snapshot in asked]
    assert all(equal(found, boundary) for found in copies)
    if abort:
        assert equal(copy(document), boundary)
    assert equal(document.snapshot().take(), copy(document))


def test_a_stroke_that_waits_for_what_follows_is_in_no_copy():
    document = Document.blank(SHAPE, VOC)
    boundary = copy(document)
    patch = paint(document, 3)
    document.open_step(patch)
    later = document.snapshot()
    assert equal(document.snapshot().take(), boundary)
    document.close_step(patch)
    assert equal(document.snapshot().take(), copy(document))
    assert equal(later.take(), boundary)


def test_a_step_written_in_parts_is_in_a_copy_as_a_whole_or_not_at_all():
    document = Document.blank(SHAPE, VOC)
    before = copy(document)
    patch = paint(document, 4, value=3).inverted()
    after_paint = copy(document)
    first = document.snapshot()
    document.start(patch)
    document.advance()
    assert equal(document.snapshot().take(), before)
    assert document.settled
    assert equal(first.take(), after_paint)


def test_a_thread_that_copies_while_another_paints_gets_the_boundary():
    document = Document.blank((1500, 2100), VOC)
    paint(document, 5)
    boundary = copy(document)
    found, start = [], threading.Event()
    snapshot = document.snapshot()

    def work():
        start.wait()
        found.append(snapshot.take())

    thread = threading.Thread(target=work)
    thread.start()
    start.set()
    for seed in range(60):
        paint(document, seed)
    thread.join()
    assert equal(found[0], boundary)


@pytest.mark.parametrize("end", ["take", "drop"])
def test_an_ended_copy_costs_the_next_strokes_nothing(end):
    document = Document.blank(SHAPE, VOC)
    snapshot = document.snapshot()
    getattr(snapshot, end)()
    paint(document, 6)
    assert not snapshot.open
    assert not list(snapshot._kept.before_tiles())
