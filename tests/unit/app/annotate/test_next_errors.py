"""The order of an image's errors: by what fixing one of them gains, or by doubt."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state.next_errors import confidence_doubt, disagreement_doubt, errors_by_doubt, errors_by_gain, margin_doubt
from app.state.provenance import Provenance
from app.state.settings_schema import BY_KEY
from app.viewmodels.annotate.correction import ErrorFixes, error_lines
from app.viewmodels.evaluate.error_list import DEFAULT_ORDER
from deeplab_core.analysis.error_gain import ERROR_ORDERS, WITH_TRUTH, WITHOUT_TRUTH
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")


def mean_iou(labels: np.ndarray, truth: np.ndarray) -> float:
    scored = truth != 255
    ious = []
    for value in range(21):
        one, other = (labels == value) & scored, (truth == value) & scored
        if other.any():
            ious.append((one & other).sum() / (one | other).sum())
    return float(np.mean(ious))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_gain_is_what_fixing_that_error_alone_brings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, truth = (rng.choice(np.array([0, 3, 7, 255], np.uint8), (6, 7)) for _ in range(2))
    if not (truth != 255).any():
        return
    found = errors_by_gain(labels, truth, 255)
    covered = np.zeros(labels.shape, int)
    for place in found:
        fixed = labels.copy()
        fixed[place.box.slices][place.mask] = place.truth
        assert np.isclose(place.gain, mean_iou(fixed, truth) - mean_iou(labels, truth))
        covered[place.box.slices] += place.mask
        assert labels[place.anchor[1], place.anchor[0]] == place.label
    assert np.array_equal(covered > 0, (labels != truth) & (truth != 255))
    assert covered.max(initial=0) <= 1
    assert [place.gain for place in found] == sorted((place.gain for place in found), reverse=True)


def test_a_wide_catalog_needs_no_table_of_all_ids() -> None:
    labels, truth = np.full((5, 5), 65535, np.uint16), np.full((5, 5), 60000, np.uint16)
    labels[0] = 3
    found = errors_by_gain(labels, truth, 65535)
    assert [(place.label, place.truth, place.pixels) for place in found] == [(65535, 60000, 20), (3, 60000, 5)]


def test_doubt_counts_what_is_expected_to_be_wrong_and_trusts_the_user() -> None:
    labels = np.zeros((20, 20), np.uint8)
    confidence = np.full(labels.shape, 250, np.uint8)
    confidence[2:4, 2:4] = 51
    confidence[10:14, 2:6] = 140
    confidence[10:14, 12:16] = 0
    provenance = np.full(labels.shape, Provenance.MODEL, np.uint8)
    provenance[10:14, 12:16] = Provenance.USER
    found = errors_by_doubt(labels, confidence_doubt(confidence), provenance, 255)
    assert [(place.box.y, place.pixels) for place in found] == [(10, 16), (2, 4)]
    assert found[1].gain == np.float64(4 * (1 - np.float32(51 / 255)))
    assert not errors_by_doubt(labels, np.zeros(labels.shape, np.float32), provenance, 255)
    assert error_lines(VOC, found[1], ErrorFixes(9, restorable=True)) == (
        "background, doubtful: 4 px", "Shift+Z: chair", "Delete: the class around it", "Shift+Delete: the prediction",
    )  # fmt: skip


def test_the_margin_is_the_lead_of_the_first_class_at_the_size_of_the_image() -> None:
    probabilities = np.zeros((3, 2, 2), np.float32)
    probabilities[0], probabilities[1], probabilities[2] = 0.5, 0.3, 0.2
    probabilities[:, 0, 0] = (0.1, 0.05, 0.85)
    doubt = margin_doubt(probabilities, (8, 8))
    assert doubt.shape == (8, 8)
    assert np.isclose(doubt[0, 0], 1 - 0.75)
    assert np.isclose(doubt[7, 7], 1 - 0.2)
    assert not margin_doubt(np.ones((1, 2, 2), np.float32), (8, 8)).any()


def test_disagreement_is_the_share_of_other_predictions_that_differ() -> None:
    labels = np.zeros((6, 6), np.uint8)
    one, other = labels.copy(), labels.copy()
    one[:2, :2] = 3
    other[:2] = 5
    doubt = disagreement_doubt(labels, [one, other])
    assert doubt[0, 0] == 1
    assert doubt[0, 5] == 0.5
    assert doubt[5, 5] == 0
    found = errors_by_doubt(labels, doubt, np.ones_like(labels), 255)
    assert [(place.pixels, place.gain) for place in found] == [(12, 8.0)]


def test_settings_offer_the_orders_of_the_core() -> None:
    for key, names in (("work.error_order", WITHOUT_TRUTH), ("evaluation.error_order", WITH_TRUTH)):
        assert tuple(name for name, _ in BY_KEY[key].choices) == names
    titles = dict(BY_KEY["work.error_order"].choices)
    assert titles == {name: ERROR_ORDERS[name].title for name in WITHOUT_TRUTH}
    assert BY_KEY["evaluation.error_order"].default == DEFAULT_ORDER
