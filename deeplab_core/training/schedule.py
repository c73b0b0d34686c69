"""Learning rates over a run."""

from __future__ import annotations


def poly_rate(step: int, steps: int, *, power: float = 0.9, warmup: int = 0) -> float:
    """Factor on the base rate: ``(1 - step / steps) ** power`` (DeepLabv2, section 4.1), with a linear warm-up before.

    Args:
        step: optimiser steps done, 0 <= step < steps.
        steps: of the whole run.
        power: 0.9 in the DeepLab papers.
        warmup: steps over which the factor also rises linearly from ``1 / warmup``.
    """
    factor = float(max(0.0, 1 - step / max(1, steps)) ** power)
    return factor * min(1.0, (step + 1) / warmup) if warmup else factor
