"""What people hand to a CRF: tensors, scores instead of probabilities, hundreds of labels."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deeplab_core.records import CRFParams
from deeplab_core.refine import DenseCRF, preset

CASE = Path(__file__).resolve().parents[5] / "shared" / "cases" / "models" / "14_dense_crf_arrays"
PARAMS = CRFParams(iterations=5)


def soft(classes: int, height: int, width: int, sharpness: float = 3.0) -> NDArray[np.float32]:
    z = np.random.default_rng(0).normal(size=(classes, height, width)) * sharpness
    e = np.exp(z - z.max(0))
    return (e / e.sum(0)).astype(np.float32)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_torch_tensors_are_taken(dtype: torch.dtype) -> None:
    rgb, p = picture(20, 30), soft(4, 20, 30)
    tensor = torch.from_numpy(p).to(dtype).requires_grad_(True)
    expected = DenseCRF(rgb, PARAMS).refine(tensor.detach().float().numpy())
    found = DenseCRF(torch.from_numpy(rgb), PARAMS).refine(tensor)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_strokes_may_be_a_tensor() -> None:
    rgb, p = picture(20, 30), soft(4, 20, 30)
    strokes = np.full((20, 30), 255, np.uint8)
    strokes[5:8, 5:8] = 2
    expected = DenseCRF(rgb, PARAMS).refine(p, clamp=strokes)
    np.testing.assert_array_equal(DenseCRF(rgb, PARAMS).refine(p, clamp=torch.from_numpy(strokes)), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [[[[0.5, 0.5]]], "p", None, 3.0])
def test_other_things_are_refused_in_words(wrong: object) -> None:
    with pytest.raises(TypeError, match="must be an array"):
        DenseCRF(picture(4, 4), PARAMS).refine(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pixels of the picture"):
        DenseCRF(wrong, PARAMS)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", ["logits", "0..255", "log probabilities", "negated"])
@pytest.mark.parametrize("prune", [False, True])
def test_what_is_no_probability_is_refused(scale: str, prune: bool) -> None:
    p = soft(5, 20, 30)
    given = {"logits": 10 * p - 3, "0..255": 255 * p, "log probabilities": np.log(p), "negated": -p}[scale]
    with pytest.raises(ValueError, match="not probabilities: they reach from"):
        DenseCRF(picture(20, 30), PARAMS, prune=prune).refine(given.astype(np.float32))


def test_rounding_and_zeros_stay_allowed() -> None:
    rgb, p = picture(20, 30), soft(5, 20, 30)
    hot = (p == p.max(0)).astype(np.float32)
    nothing = p.copy()
    nothing[:, :5] = 0
    for given in (p * np.float32(1.0003), hot, hot.astype(np.int64), hot.astype(bool), nothing, np.zeros_like(p)):
        refined = DenseCRF(rgb, PARAMS).refine(given)
        np.testing.assert_allclose(refined.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize(("classes", "sharpness"), [(300, 3.0), (300, 1.0), (60, 2.0), (21, 3.0)])
def test_marginals_of_many_labels_do_not_suffer_from_pruning(classes: int, sharpness: float) -> None:
    rgb, p = picture(20, 20), soft(classes, 20, 20, sharpness)
    whole = DenseCRF(rgb, preset("v2"), prune=False).refine(p)
    pruned = DenseCRF(rgb, preset("v2"), prune=True).refine(p)
    assert np.abs(whole - pruned).max() < 0.1
    clear = np.sort(whole, axis=0)[-1] - np.sort(whole, axis=0)[-2] > 0.1
    np.testing.assert_array_equal(pruned.argmax(0)[clear], whole.argmax(0)[clear])


def test_pruning_still_leaves_labels_out() -> None:
    p = np.full((21, 40, 40), 1e-4, np.float32)
    p[3, :, :20] = 1
    p[7, :, 20:] = 1
    marginals = DenseCRF(picture(40, 40), preset("v2")).marginals(p / p.sum(0))
    assert marginals.active.tolist() == [3, 7]


@pytest.mark.skipif(not CASE.is_dir(), reason="the files of ../shared/cases are not there")
@pytest.mark.skipif(importlib.util.find_spec("pydensecrf") is None, reason="pydensecrf is not installed")
def test_the_arrays_of_the_public_reports(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CASE.parents[1]))
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(CASE / "crf.py"))
    finally:
        torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    refused = [line.partition(" EXC ")[0] for line in lines if " EXC " in line]
    assert {"gray 2d", "RGBA", "uint16", "empty", "one label", "transposed sizes", "not normalised (logits)"} <= set(refused)
    for line in lines:
        name, found, rest = line.partition(" max diff to pydensecrf ")
        if found and "300 labels pruned" not in name:
            assert float(rest.split()[0]) < 1e-4, line
    assert any(line.startswith("torch tensor shape") for line in lines)
