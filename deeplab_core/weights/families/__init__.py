"""The registry of checkpoint families: one module per family, tried by their landmarks."""

from __future__ import annotations

from dataclasses import dataclass

from deeplab_core.errors import UnknownCheckpoint
from deeplab_core.weights.families.base import Family, Variant
from deeplab_core.weights.families.bubbliiiing import Bubbliiiing
from deeplab_core.weights.families.caffe import CaffeFCN, DeconvNetRelease, DilationRelease, LargeFOVRelease, SegNetRelease
from deeplab_core.weights.families.drn import FyuDRN
from deeplab_core.weights.families.jfzhang95 import JfZhang95
from deeplab_core.weights.families.kazuto import Kazuto
from deeplab_core.weights.families.smp import SegmentationModelsPytorch
from deeplab_core.weights.families.tensorflow import TensorFlowRelease
from deeplab_core.weights.families.tf_folded import FoldedMobileNet
from deeplab_core.weights.families.tf_ports import Nyoki, SegmenTron
from deeplab_core.weights.families.torchvision import TorchvisionSegmentation
from deeplab_core.weights.families.unets import Milesial, Tiramisu
from deeplab_core.weights.families.vainf import VainF
from deeplab_core.weights.reading import Checkpoint
from deeplab_core.weights.unwrapping import without_prefixes

__all__ = ["FAMILIES", "Family", "Recognised", "Variant", "recognise"]

FAMILIES: tuple[Family, ...] = (
    FoldedMobileNet(),
    TensorFlowRelease(),
    VainF(),
    JfZhang95(),
    TorchvisionSegmentation(),
    SegmentationModelsPytorch(),
    Bubbliiiing(),
    Kazuto(),
    Nyoki(),
    SegmenTron(),
    FyuDRN(),
    CaffeFCN(),
    LargeFOVRelease(),
    DilationRelease(),
    SegNetRelease(),
    DeconvNetRelease(),
    Milesial(),
    Tiramisu(),
)

#: Share of a family's landmarks below which a file is nobody's.
_ENOUGH = 0.5


@dataclass(frozen=True, slots=True)
class Recognised:
    """A checkpoint and whose it is.

    Attributes:
        checkpoint: the file, its tensors under the keys of the family (wrapper prefixes stripped).
        family, variant: what was found.
        prefix: what was stripped from every key.
        outside: number of tensors that lay outside the prefix and are not used.
    """

    checkpoint: Checkpoint
    family: Family
    variant: Variant
    prefix: str
    outside: int


def recognise(checkpoint: Checkpoint) -> Recognised:
    """Find out whose checkpoint this is.

    Raises:
        UnknownCheckpoint: no family has enough of its landmarks in the keys; names the nearest one and what it misses.
    """
    best: tuple[float, Family, str, Checkpoint] | None = None
    for prefix, tensors in without_prefixes(checkpoint.tensors):
        stripped = Checkpoint(checkpoint.path, tensors, checkpoint.extras, checkpoint.metadata, checkpoint.wrapper)
        shapes = shapes_of(stripped)
        for family in FAMILIES:
            score = family.score(shapes)
            if best is None or score > best[0]:
                best = (score, family, prefix, stripped)
    assert best is not None
    score, family, prefix, stripped = best
    if score < _ENOUGH:
        raise _unknown(checkpoint, family, score)
    try:
        variant = family.refine(family.describe(shapes_of(stripped)), stripped)
    except KeyError as error:
        raise UnknownCheckpoint(
            f"looks like {family.title}, but a deciding tensor is missing: {error.args[0]}",
            why=f"{score:.0%} of the family's landmarks are in the file",
            remedy="Check that the checkpoint is complete",
            path=checkpoint.path,
        ) from error
    return Recognised(stripped, family, variant, prefix, len(checkpoint.tensors) - len(stripped.tensors))


def shapes_of(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by key."""
    return {key: tuple(tensor.shape) for key, tensor in checkpoint.tensors.items()}


def _unknown(checkpoint: Checkpoint, nearest: Family, score: float) -> UnknownCheckpoint:
    keys = list(checkpoint.tensors)
    shown = ", ".join(keys[:3]) + (f" … {keys[-1]}" if len(keys) > 3 else "")
    near = f"; nearest is {nearest.title}, which has {', '.join(nearest.landmarks[:3])}" if score > 0 else ""
    return UnknownCheckpoint(
        "no known network has these weights",
        why=f"the file holds {len(keys)} tensors ({shown}){near}",
        remedy="See docs/models/compatibility.md for what can be loaded",
        path=checkpoint.path,
    )
