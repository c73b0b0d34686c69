"""Confusion matrices and what follows from them.

:mod:`scores` has the formulas and their rules, :mod:`confusion` the matrix, :mod:`evaluate` compares folders of masks and
:mod:`report` writes the page about it.
"""

from deeplab_core.metrics.confusion import ConfusionMatrix, MeanScore
from deeplab_core.metrics.counting import PixelDelta
from deeplab_core.metrics.scores import ABSENT_RULE_TEXT, AbsentRule

__all__ = ["ABSENT_RULE_TEXT", "AbsentRule", "ConfusionMatrix", "MeanScore", "PixelDelta"]
