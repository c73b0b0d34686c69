"""The native engine against pydensecrf on photographs, with a real network's probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.records import CRFParams
from deeplab_core.refine import DenseCRF, preset
from tests.unit.core.refine.scenes import blob

pytest.importorskip("pydensecrf.densecrf", reason="the extra 'crf' (pydensecrf2) is not installed")

PHOTOGRAPHS = ("2007_006171.jpg", "2008_001513.jpg")


@pytest.fixture(scope="module")
def samples(shared_real: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    predictor = Predictor(*load_model(shared_real / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"), device="cpu")
    found = []
    for name in PHOTOGRAPHS:
        rgb = np.asarray(Image.open(shared_real / "voc" / "images" / name).convert("RGB"))
        found.append((rgb, np.ascontiguousarray(predictor.scores(rgb).probabilities())))
    return found


@pytest.mark.parametrize(
    "params",
    [preset("v1"), preset("v2"), replace(preset("readme"), iterations=10)],
    ids=["v1", "v2", "readme"],
)
def test_marginals_are_pydensecrfs(samples: list[tuple[np.ndarray, np.ndarray]], params: CRFParams) -> None:
    for rgb, probabilities in samples:
        ours = DenseCRF(rgb, params, prune=False).refine(probabilities)
        theirs = DenseCRF(rgb, params, engine="pydensecrf", prune=False).refine(probabilities)
        error = np.abs(ours - theirs)
        assert error.max() < 1e-3
        assert error.mean() < 1e-6
        assert (ours.argmax(0) == theirs.argmax(0)).mean() >= 0.99999


def test_pruning_hardly_changes_labels(samples: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for rgb, probabilities in samples:
        crf = DenseCRF(rgb, preset("v1"))
        pruned = crf.marginals(probabilities)
        crf.prune = False
        assert pruned.active.size <= 6
        assert (pruned.labels() == crf.marginals(probabilities).labels()).mean() >= 0.9999


@pytest.mark.parametrize("normalization", ["symmetric", "after", "none"])
def test_normalisations_are_pydensecrfs(normalization: str) -> None:
    rgb, probabilities = blob(30, 40, classes=4)
    weight = 0.1 if normalization == "none" else 3.0
    params = CRFParams(
        gaussian_compat=weight, bilateral_compat=weight, bilateral_sxy=10, normalization=normalization  # type: ignore[arg-type]
    )  # fmt: skip
    ours = DenseCRF(rgb, params, prune=False).refine(probabilities)
    theirs = DenseCRF(rgb, params, engine="pydensecrf", prune=False).refine(probabilities)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert np.abs(ours - probabilities).mean() > 0.05
