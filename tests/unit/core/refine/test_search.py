"""The parameter search finds what helps, and says when nothing does."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, Cancelled
from deeplab_core.records import CRFParams
from deeplab_core.refine import ProbabilitySource, SearchSample, labels_as_probabilities, search_parameters
from deeplab_core.refine import search as search_module
from tests.unit.core.refine.scenes import blob

CATALOG = ClassCatalog("three", "", tuple(ClassInfo(i, f"c{i}", (40 * i, 0, 0)) for i in range(3)))


@pytest.fixture(autouse=True)
def _small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "COARSE_SXY", (20.0,))
    monkeypatch.setattr(search_module, "COARSE_SRGB", (6.0, 20.0))


def samples(number: int, *, perfect: bool = False) -> list[SearchSample]:
    found = []
    for seed in range(number):
        rgb, probabilities = blob(seed=seed)
        height, width = rgb.shape[:2]
        y, x = np.mgrid[:height, :width]
        truth = ((y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 3) ** 2).astype(np.uint8)
        truth[:2] = CATALOG.ignore
        if perfect:
            sure = np.eye(3, dtype=np.float32)[np.where(truth == CATALOG.ignore, 0, truth)]
            probabilities = sure.transpose(2, 0, 1) * 0.97 + 0.01
        found.append(SearchSample(f"image {seed}", rgb, ProbabilitySource.of(np.ascontiguousarray(probabilities)), truth))
    return found


def test_it_finds_parameters_that_help_images_they_were_not_chosen_on() -> None:
    said: list[str] = []
    report = search_parameters(samples(4), CATALOG, folds=2, progress=lambda _done, _total, text: said.append(text))
    assert report.helps
    assert report.validated > report.baseline + 0.2
    assert report.fitted >= report.validated - 1e-9
    assert (report.images, report.folds, report.improved, report.worsened) == (4, 2, 4, 0)
    assert "helps" in report.verdict
    assert len(said) == 16, "four stages of four images"
    assert CRFParams(**report.to_dict()["params"]) == report.params


def test_a_class_that_only_the_network_names_is_in_no_mean() -> None:
    images = samples(2, perfect=True)
    for sample in images:
        (whole,) = [strip for _, _, strip in sample.source.strips()]
        whole[:, 5, 5] = (0.1, 0.1, 0.8)  # one pixel, which a CRF takes away
    report = search_parameters(images, CATALOG, folds=2)
    assert report.classes == 2
    assert report.baseline > 0.99  # on 8f62d5b a third less
    assert not report.helps
    assert [name for name, _, _ in report.class_gains] == list(CATALOG.names[:2])


def test_it_says_when_the_crf_does_not_help() -> None:
    report = search_parameters(samples(3, perfect=True), CATALOG, folds=3)
    assert report.baseline == 1.0
    assert not report.helps
    assert "does not help" in report.verdict


def test_the_same_search_gives_the_same_answer() -> None:
    assert search_parameters(samples(2), CATALOG) == search_parameters(samples(2), CATALOG)


def test_too_little_to_search_on() -> None:
    with pytest.raises(AtrousError, match="at least two images"):
        search_parameters(samples(1), CATALOG)
    void = [SearchSample(s.name, s.rgb, s.source, np.full_like(s.truth, CATALOG.ignore)) for s in samples(2)]
    with pytest.raises(AtrousError, match="no pixel"):
        search_parameters(void, CATALOG)


def test_it_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        search_parameters(samples(2), CATALOG, cancel=lambda: True)


def test_masks_as_probabilities() -> None:
    labels = np.array([[0, 2, 2], [0, 255, 2]], np.uint8)
    source, ids = labels_as_probabilities(labels, CATALOG, 0.8)  # type: ignore[misc]
    np.testing.assert_array_equal(ids, [0, 2])
    probabilities = source.read(0, 2)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1.0)
    np.testing.assert_allclose(probabilities[:, 0, 1], [0.2, 0.8], rtol=1e-6)
    np.testing.assert_allclose(probabilities[:, 1, 1], 0.5)
    assert labels_as_probabilities(np.full((2, 2), 2, np.uint8), CATALOG, 0.8) is None
