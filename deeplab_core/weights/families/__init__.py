"""The registry of checkpoint families: one module per family, tried by their landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from deeplab_core.errors import UnknownCheckpoint, WeightsError, message
from deeplab_core.weights.families.base import Family, Variant
from deeplab_core.weights.families.bubbliiiing import Bubbliiiing
from deeplab_core.weights.families.caffe import (
    CaffeFCN,
    DeconvNetListing,
    DeconvNetRelease,
    DilationRelease,
    LargeFOVListing,
    LargeFOVRelease,
    SegNetRelease,
)
from deeplab_core.weights.families.drn import FyuDRN
from deeplab_core.weights.families.jfzhang95 import JfZhang95
from deeplab_core.weights.families.kazuto import Kazuto
from deeplab_core.weights.families.smp import SegmentationModelsPytorch
from deeplab_core.weights.families.tensorflow import FoldedMobileNet, TensorFlowRelease
from deeplab_core.weights.families.tf_ports import Nyoki, SegmenTron
from deeplab_core.weights.families.torchvision import TorchvisionSegmentation
from deeplab_core.weights.families.unets import Milesial, Tiramisu
from deeplab_core.weights.families.vainf import VainF
from deeplab_core.weights.reading import Checkpoint
from deeplab_core.weights.settings import StoredSettings, gather_settings
from deeplab_core.weights.unwrapping import check_tensors, check_unread, inside, is_average, prefixes, without_words

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
    LargeFOVListing(),
    DilationRelease(),
    SegNetRelease(),
    DeconvNetRelease(),
    DeconvNetListing(),
    Milesial(),
    Tiramisu(),
)

#: Share of a family's landmarks below which a file belongs to no family.
_ENOUGH = 0.5


@dataclass(frozen=True, slots=True)
class Recognised:
    """A checkpoint and its family.

    Attributes:
        checkpoint: the file, its tensors under the keys of the family (wrapper prefixes stripped).
        family, variant: what was found.
        settings: what is stored beside the tensors.
        prefix: what was stripped from every key.
        others: prefixes of other weights of the same network in the file: averages, a teacher.
        outside: number of tensors that lay outside the prefix and are not used.
        chosen: other weights than the usual ones were asked for.
    """

    checkpoint: Checkpoint
    family: Family
    variant: Variant
    settings: StoredSettings
    prefix: str
    others: tuple[str, ...]
    outside: int
    chosen: bool = False


def recognise(checkpoint: Checkpoint, wanted: str | None = None) -> Recognised:
    """Recognise the family of a checkpoint, and which of the weights in it are taken.

    Weights that training itself stepped come before averages of them, and the first of the file among equals.

    Args:
        checkpoint: the file.
        wanted: prefix of the weights to take, as :attr:`Recognised.others` names it; a part of it will do.

    Raises:
        UnknownCheckpoint: no family has enough of its landmarks in the keys; names the nearest one and what it misses.
        WeightsError: the family is known and its network is not supported; or ``wanted`` names none of the weights.
    """
    candidates = _candidates(checkpoint)
    score, prefix, family, stripped = candidates[0]
    if score < _ENOUGH:
        check_unread(checkpoint.unread, checkpoint.path)
        check_tensors(checkpoint.tensors, checkpoint.path)
        raise _unknown(checkpoint, family, score, gather_settings(checkpoint))
    equal = [one for one in candidates if one.score == score and one.family is family]
    if wanted is not None:
        equal = [one for one in candidates if one.score >= _ENOUGH and _is_meant(wanted, one.prefix)]
        if not equal:
            raise _no_such_weights(checkpoint, wanted, [one for one in candidates if one.score >= _ENOUGH])
        score, prefix, family, stripped = equal[0]
    settings = gather_settings(checkpoint)
    shapes = shapes_of(stripped)
    try:
        family.check(shapes, settings, checkpoint.path)
    except WeightsError:
        # What was not read is not among the shapes: a quantised layer would be called another network's.
        check_unread({key: tensor for key, tensor in stripped.unread.items() if "." in key}, checkpoint.path)
        raise
    try:
        variant = family.refine(family.describe(shapes), stripped)
    except KeyError as error:
        check_unread({key: stripped.unread[key] for key in error.args if key in stripped.unread}, checkpoint.path)
        raise UnknownCheckpoint(
            message("looks like {family}, but a deciding tensor is missing: {tensor}", family=family.title, tensor=error.args[0]),
            why=message("{score:.0%} of the family's landmarks are in the file", score=score),
            remedy=message("Check that the checkpoint is complete"),
            path=checkpoint.path,
        ) from error
    return Recognised(
        checkpoint=stripped,
        family=family,
        variant=variant,
        settings=settings,
        prefix=prefix,
        others=_others(prefix, candidates),
        outside=len(checkpoint.tensors) - len(stripped.tensors),
        chosen=prefix != candidates[0].prefix,
    )


class _Candidate(NamedTuple):
    score: float
    prefix: str
    family: Family
    checkpoint: Checkpoint


def _candidates(checkpoint: Checkpoint) -> list[_Candidate]:
    """Every group of tensors with the family that fits it best, the best first."""
    found: list[tuple[tuple[float, bool, int], _Candidate]] = []
    as_saved: list[Checkpoint | None] = [checkpoint]
    while as_saved:
        whole = as_saved.pop()
        if whole is None:
            continue
        for prefix in prefixes(whole.tensors, (family.landmarks for family in FAMILIES)):
            stripped = inside(whole, prefix)
            shapes = shapes_of(stripped)
            score, family = max(((family.score(shapes), family) for family in FAMILIES), key=lambda pair: pair[0])
            rank = (-score, is_average(prefix), prefix.count(".") + bool(prefix))
            found.append((rank, _Candidate(score, prefix, family, stripped)))
        if whole is checkpoint and all(one.score < 1 for _, one in found):
            as_saved.append(without_words(checkpoint))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _others(prefix: str, candidates: list[_Candidate]) -> tuple[str, ...]:
    """Prefixes of complete weights that neither contain the ones taken nor are part of them."""

    def apart(other: str) -> bool:
        return not f"{other}.".startswith(f"{prefix}.") and not f"{prefix}.".startswith(f"{other}.") and other != "" != prefix

    return tuple(dict.fromkeys(one.prefix for one in candidates if one.score == 1 and apart(one.prefix)))


def _is_meant(wanted: str, prefix: str) -> bool:
    words = wanted.strip(".").removesuffix(".module")
    return prefix == words or words in prefix.split(".") or prefix.endswith(f".{words}")


def _no_such_weights(checkpoint: Checkpoint, wanted: str, known: list[_Candidate]) -> WeightsError:
    names = ", ".join(repr(one.prefix) for one in known) or "none"
    return WeightsError(
        message("the file holds no weights '{wanted}'", wanted=wanted),
        why=message("it holds {names}", names=names),
        remedy=message("Choose one of these"),
        path=checkpoint.path,
    )


def shapes_of(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by key."""
    return {key: tuple(tensor.shape) for key, tensor in checkpoint.tensors.items()}


def _unknown(checkpoint: Checkpoint, nearest: Family, score: float, settings: StoredSettings) -> UnknownCheckpoint:
    keys = list(checkpoint.tensors)
    shown = ", ".join(keys[:3]) + (f" … {keys[-1]}" if len(keys) > 3 else "")
    near = (
        message(
            "; nearest is {nearest}, which has {landmarks}", nearest=nearest.title, landmarks=", ".join(nearest.landmarks[:3])
        )
        if score > 0
        else ""
    )
    given = settings.get("network")
    name = given[0] if isinstance(given, list) and given else given
    called = (
        message(": {name}, as {source} calls it", name=name, source=settings.found["network"].source)
        if isinstance(name, str) and name
        else ""
    )
    return UnknownCheckpoint(
        message("no known network has these weights{called}", called=called),
        why=message("the file holds {count} tensors ({shown}){near}", count=len(keys), shown=shown, near=near),
        remedy=message("See docs/models/compatibility.md for what can be loaded"),
        path=checkpoint.path,
    )
