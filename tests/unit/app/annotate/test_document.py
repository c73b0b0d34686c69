"""The document tells every change, refuses what does not fit, and keeps its memory in place."""

import numpy as np
import pytest

from app.state.document import Document
from app.state.patch import diff_patch
from app.state.provenance import Provenance, merge_labels
from deeplab_core.catalogs import get_catalog
from deeplab_core.geometry import Box
from tests.unit.app.folders import paint

VOC = get_catalog("voc21")


def test_a_blank_document_is_void_and_unset():
    document = Document.blank((5, 7), VOC)
    assert document.shape == (5, 7)
    assert (document.labels == 255).all()
    assert (document.provenance == Provenance.UNSET).all()


def test_listeners_learn_what_was_there_before():
    document = Document.blank((100, 100), VOC)
    heard = []
    document.changed.connect(heard.append)
    replica = document.labels.copy()
    for seed in range(4):
        paint(document, seed)
    replayed = document.labels.copy()
    for change in reversed(heard):
        for rect, before in change.parts:
            assert before.shape == rect.size
            assert change.rect.united(rect) == change.rect
            replayed[rect.slices] = before
    assert np.array_equal(replayed, replica)
    assert [change.revision for change in heard] == list(range(1, len(heard) + 1))
    document.changed.disconnect(heard.append)
    paint(document, 9)
    assert heard[-1].revision < document.revision


def test_arrays_are_changed_in_place():
    document = Document.blank((100, 100), VOC)
    labels, provenance = document.labels, document.provenance
    patch = paint(document, 1)
    document.apply(patch.inverted())
    assert document.labels is labels
    assert document.provenance is provenance


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError):
        Document(np.zeros((4, 4), np.uint16), VOC)
    with pytest.raises(ValueError):
        Document(np.zeros((4, 4, 3), np.uint8), VOC)
    with pytest.raises(ValueError):
        Document(np.zeros((4, 4), np.uint8), VOC, np.zeros((4, 5), np.uint8))
    other = Document.blank((40, 50), VOC)
    with pytest.raises(ValueError):
        Document.blank((50, 40), VOC).apply(paint(other, 3))


def test_an_empty_patch_is_no_change():
    document = Document.blank((40, 50), VOC)
    patch = diff_patch(document.labels, document.provenance, document.labels, document.provenance)
    assert document.apply(patch).empty
    assert document.revision == 0


def test_a_model_never_overwrites_a_person():
    rng = np.random.default_rng(0)
    document = Document(rng.integers(0, 21, (90, 80)).astype(np.uint8), VOC, rng.integers(0, 5, (90, 80)).astype(np.uint8))
    person = document.provenance == Provenance.USER
    kept = document.labels[person].copy()
    new = rng.integers(0, 21, (90, 80)).astype(np.uint8)
    merge = merge_labels(document.labels, document.provenance, new, Provenance.MODEL)
    old = document.labels.copy()
    document.apply(merge.patch)
    assert np.array_equal(document.labels[person], kept)
    assert (document.provenance[person] == Provenance.USER).all()
    assert np.array_equal(document.labels[~person], new[~person])
    assert (document.provenance[~person] == Provenance.MODEL).all()
    assert merge.kept_pixels == person.sum()
    assert np.array_equal(merge.conflicts, person & (old != new))


def test_a_merge_may_be_limited_to_a_part():
    document = Document.blank((64, 64), VOC)
    where = np.zeros((64, 64), bool)
    where[:10, :10] = True
    fives = np.full((64, 64), 5, np.uint8)
    document.apply(merge_labels(document.labels, document.provenance, fives, Provenance.CRF, where).patch)
    assert (document.labels == 5).sum() == 100
    assert document.labels[:10, :10].min() == document.labels[:10, :10].max() == 5
    assert set(document.provenance[where].tolist()) == {Provenance.CRF}


def test_rect_of_a_change_is_inside_the_image():
    document = Document.blank((33, 47), VOC)
    heard = []
    document.changed.connect(lambda change: heard.append(change.rect))
    for seed in range(20):
        paint(document, seed)
    whole = Box.whole(document.shape)
    assert all(rect.united(whole) == whole for rect in heard)
