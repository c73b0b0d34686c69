"""What a CRF would do to a mask: composition, patch and figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.document import Document
from app.state.patch import diff_patch
from app.state.provenance import Provenance
from app.state.refinement import composed, painted_labels, refine_figures, taking_patch, would_take
from deeplab_core.catalogs import get_catalog
from deeplab_core.geometry import Box
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram

CATALOG = get_catalog("voc21")
SEEDS = st.integers(0, 10_000)


def random_document(seed: int, height: int = 70, width: int = 90) -> Document:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, (height, width)).astype(np.uint8)
    return Document(labels, CATALOG, random.integers(0, 5, (height, width)).astype(np.uint8))


@given(seed=SEEDS)
def test_taking_gives_what_was_shown_and_marks_only_what_changed(seed):
    random = np.random.default_rng(seed + 1)
    document = random_document(seed)
    refined = random.integers(0, 4, document.shape).astype(np.uint8)
    where = random.random(document.shape) < 0.5
    labels, provenance = document.labels.copy(), document.provenance.copy()
    shown = composed(labels, provenance, refined, where)
    patch = taking_patch(document, Box.whole(document.shape), refined, where)
    document.apply(patch)
    np.testing.assert_array_equal(document.labels, shown)
    person = provenance == Provenance.USER
    np.testing.assert_array_equal(document.labels[person], labels[person])
    changed = document.labels != labels
    assert patch.changed_pixels == np.count_nonzero(changed)
    assert (document.provenance[changed] == Provenance.CRF).all()
    np.testing.assert_array_equal(document.provenance[~changed], provenance[~changed])
    document.apply(patch.inverted())
    np.testing.assert_array_equal(document.labels, labels)
    np.testing.assert_array_equal(document.provenance, provenance)


def test_a_part_of_the_image_leaves_the_rest():
    document = random_document(3)
    before = document.labels.copy()
    rect = Box(10, 5, 30, 20)
    refined = np.full((20, 30), 9, np.uint8)
    assert would_take(document, rect, refined)
    document.apply(taking_patch(document, rect, refined))
    outside = np.ones(document.shape, bool)
    outside[rect.slices] = False
    np.testing.assert_array_equal(document.labels[outside], before[outside])
    assert not would_take(document, rect, document.labels[rect.slices])
    assert taking_patch(document, rect, document.labels[rect.slices]).empty


def test_strokes_are_the_pixels_that_the_user_painted():
    document = random_document(5)
    strokes = painted_labels(document.labels, document.provenance, 255)
    assert strokes is not None
    drawn = document.provenance == Provenance.USER
    np.testing.assert_array_equal(strokes, np.where(drawn, document.labels, 255))
    assert painted_labels(document.labels, np.zeros_like(document.provenance), 255) is None


@given(seed=SEEDS)
def test_two_patches_become_one(seed):
    random = np.random.default_rng(seed)
    document = random_document(seed, 130, 140)
    labels, provenance = document.labels.copy(), document.provenance.copy()
    patches = []
    for _ in range(2):
        row, column = random.integers(0, 100, 2)
        new, source = document.labels.copy(), document.provenance.copy()
        new[row : row + 25, column : column + 30] = random.integers(0, 3)
        source[row : row + 25, column : column + 30] = random.integers(0, 4)
        patches.append(diff_patch(document.labels, document.provenance, new, source))
        document.apply(patches[-1])
    joined = patches[0].then(patches[1])
    assert joined.changed_pixels == np.count_nonzero(document.labels != labels)
    after = document.labels.copy(), document.provenance.copy()
    document.apply(joined.inverted())
    np.testing.assert_array_equal(document.labels, labels)
    np.testing.assert_array_equal(document.provenance, provenance)
    document.apply(joined)
    np.testing.assert_array_equal(document.labels, after[0])
    np.testing.assert_array_equal(document.provenance, after[1])


def test_there_and_back_is_no_step_at_all():
    document = random_document(1)
    new = np.full_like(document.labels, 3)
    there = diff_patch(document.labels, document.provenance, new, document.provenance)
    assert there.then(there.inverted()).empty
    with pytest.raises(ValueError, match="different maps"):
        there.then(diff_patch(new[:10], document.provenance[:10], new[:10] * 0, document.provenance[:10]))


def test_figures_are_those_of_a_recount():
    random = np.random.default_rng(2)
    truth = np.repeat(np.repeat(random.integers(0, 3, (7, 9)), 10, 0), 10, 1).astype(np.uint8)
    truth[:4] = 255
    document = random_document(2)
    shown = np.where(random.random(truth.shape) < 0.7, np.where(truth == 255, 0, truth), document.labels).astype(np.uint8)
    before = ConfusionMatrix(CATALOG).update(truth=truth, prediction=document.labels)
    after = ConfusionMatrix(CATALOG).update(truth=truth, prediction=shown)
    index = band_map(truth=truth, rule="edge")
    figures = refine_figures(document, shown, truth, before, BandHistogram(CATALOG, rule="edge"), index)
    assert (figures.before, figures.after) == (before.mean_iou("truth").value, after.mean_iou("truth").value)
    assert figures.accuracy_after == after.pixel_accuracy()
    curve = BandHistogram(CATALOG, rule="edge").update(index=index, truth=truth, prediction=shown).curve("truth")
    np.testing.assert_array_equal(figures.curve, curve.mean_iou)
    judged = truth != 255
    right = int(np.count_nonzero(judged & (shown == truth))) - int(np.count_nonzero(judged & (document.labels == truth)))
    assert figures.won - figures.lost == right
    changes = [row.after - row.before for row in figures.classes]
    losses = [change for change in changes if change < 0]
    assert changes[: len(losses)] == sorted(losses)
    assert refine_figures(document, shown, truth, before, None, None).curve == ()
