"""Losses at single pixels: what a person says, and what the old model said. Logits are (P, C) float32."""

from __future__ import annotations

import torch
from torch import Tensor


def taught_loss(logits: Tensor, members: Tensor, places: Tensor) -> Tensor:
    """Mean cross entropy where a class of the labels may be several channels: the sum of their probabilities counts.

    Args:
        logits: (P, C).
        members: (L, C) bool, which channels stand for each class of the labels; at least one for every class in ``places``.
        places: (P,) int64 classes.
    """
    logs = torch.log_softmax(logits, dim=1)
    meant = logs.masked_fill(~members[places], float("-inf"))
    return -torch.logsumexp(meant, dim=1).mean()


def replay_loss(logits: Tensor, teacher: Tensor, parents: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence from what the old model said (Hinton et al. 2015, at temperature 1).

    A new class counts as its parent here: where the old model said background, a new class may now be (the distillation of
    Cermelli et al. 2020).

    Args:
        logits: (P, C) of the learning network.
        teacher: (P, C) logits of the network before learning, new classes already among them.
        parents: (C,) int64, the old channel that each channel counts as.
    """
    learning, old = (_merged(torch.log_softmax(values, dim=1), parents) for values in (logits, teacher))
    return (old.exp() * (old - learning)).sum(1).mean()


def _merged(logs: Tensor, parents: Tensor) -> Tensor:
    """(P, O) log probabilities of the old channels with their children's."""
    count = int(parents.max()) + 1
    if count == logs.shape[1]:
        return logs
    joined = logs[:, :count].clone()
    for channel in range(count, logs.shape[1]):
        parent = parents[channel]
        joined = joined.index_copy(1, parent[None], torch.logaddexp(joined[:, parent], logs[:, channel])[:, None])
    return joined
