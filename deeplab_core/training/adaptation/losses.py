"""Losses at single pixels: the user's label, and the old model's prediction. Logits are (P, C) float32."""

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

    A new class may count as another one here: where the old model said background, a new class may now be (the distillation of
    Cermelli et al. 2020). Where it said chair, a chair it shall stay.

    Args:
        logits: (P, C) of the learning network.
        teacher: (P, C) logits of the network before learning, new classes already among them.
        parents: (C,) int64, the channel that each channel counts as; itself for most.
    """
    learning, old = (_merged(torch.log_softmax(values, dim=1), parents) for values in (logits, teacher))
    return (old.exp() * (old - learning)).sum(1).mean()


def _merged(logs: Tensor, parents: Tensor) -> Tensor:
    """(P, K) log probabilities in which children are added to their parents."""
    children = [channel for channel, parent in enumerate(parents.tolist()) if parent != channel]
    if not children:
        return logs
    joined = list(logs.unbind(1))
    for channel in children:
        parent = int(parents[channel])
        joined[parent] = torch.logaddexp(joined[parent], joined[channel])
    return torch.stack([column for channel, column in enumerate(joined) if channel not in children], 1)
