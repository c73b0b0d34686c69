"""Losses against torch's own, class weights against published figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from deeplab_core.training import Recipe
from deeplab_core.training.losses import VOID, class_weights, pixel_loss

RECIPE = Recipe()


def made(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, 6, 7, generator=generator)
    labels = torch.randint(0, 4, (2, 6, 7), generator=generator)
    labels[0, :2] = VOID
    return logits, labels


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 0.0])])
def test_cross_entropy_is_torchs_mean(weights: torch.Tensor | None) -> None:
    logits, labels = made()
    total, weight = pixel_loss(logits, labels, RECIPE, weights)
    expected = functional.cross_entropy(logits, labels, weight=weights, ignore_index=VOID)
    assert torch.allclose(total / weight, expected)


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    logits, labels = made()
    whole = pixel_loss(logits, labels, RECIPE)
    parts = [pixel_loss(logits[i : i + 1], labels[i : i + 1], RECIPE) for i in range(2)]
    assert torch.allclose(sum(part[0] for part in parts), whole[0])
    assert float(sum(part[1] for part in parts)) == float(whole[1])


@pytest.mark.parametrize("loss", ["cross_entropy", "ohem", "top_k", "focal"])
def test_unlabelled_batches_cost_nothing(loss: str) -> None:
    logits, labels = made()
    logits.requires_grad_()
    total, weight = pixel_loss(logits, torch.full_like(labels, VOID), replace(RECIPE, loss=loss))
    assert float(weight) == 0
    assert float(total.detach()) == 0
    total.backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) == 0


def test_top_k_keeps_the_hardest_share() -> None:
    logits, labels = made()
    each = functional.cross_entropy(logits, labels, ignore_index=VOID, reduction="none")[labels != VOID]
    total, weight = pixel_loss(logits, labels, replace(RECIPE, loss="top_k", ohem_keep=0.25))
    kept = each.sort(descending=True).values[: round(0.25 * each.numel())]
    assert int(weight) == len(kept)
    assert torch.allclose(total, kept.sum())


def test_ohem_keeps_what_is_below_the_threshold_and_never_fewer_than_asked() -> None:
    logits, labels = made()
    known = labels != VOID
    probability = logits.softmax(1).gather(1, labels.clamp(min=0).unsqueeze(1)).squeeze(1)
    _, weight = pixel_loss(logits, labels, replace(RECIPE, loss="ohem", ohem_threshold=0.3, ohem_keep=0.01))
    assert int(weight) == int(((probability < 0.3) & known).sum())
    _, weight = pixel_loss(logits, labels, replace(RECIPE, loss="ohem", ohem_threshold=0.0, ohem_keep=0.5))
    assert int(weight) == round(0.5 * int(known.sum()))


def test_focal_is_the_papers_formula() -> None:
    logits, labels = made()
    known = labels != VOID
    p = logits.softmax(1).gather(1, labels.clamp(min=0).unsqueeze(1)).squeeze(1)[known]
    total, weight = pixel_loss(logits, labels, replace(RECIPE, loss="focal"))
    assert torch.allclose(total, (-((1 - p) ** 2) * p.log()).sum(), rtol=1e-5)
    assert int(weight) == int(known.sum())


def test_median_frequency_and_logarithms() -> None:
    pixels = np.array([100, 50, 10, 0])
    present = np.array([200, 200, 100, 0])
    weights = class_weights(pixels, present, "median_frequency")  # frequencies 0.5, 0.25, 0.1
    assert weights.tolist() == pytest.approx([0.5, 1.0, 2.5, 0.0])
    share = pixels / 160
    assert class_weights(pixels, present, "log_1.02").tolist() == pytest.approx((1 / np.log(1.02 + share)).tolist(), rel=1e-6)
    assert class_weights(pixels, present, "none").tolist() == [1, 1, 1, 1]
