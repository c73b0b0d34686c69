"""What a family of checkpoints is: its keys, which network of ours, which defaults."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.records import Preprocessing
from deeplab_core.weights.reading import Checkpoint
from deeplab_core.weights.settings import StoredSettings

Shapes = Mapping[str, tuple[int, ...]]
Replacement = str | Callable[[re.Match[str]], str]

#: ImageNet statistics on the 0..255 scale, as torchvision's transforms use them.
IMAGENET = Preprocessing()
#: TensorFlow's Inception preprocessing: x / 127.5 - 1.
INCEPTION = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3, pad_value=(127.5,) * 3)
#: Caffe's: BGR, the mean subtracted, 0..255 scale.
CAFFE = Preprocessing(
    channel_order="BGR", mean=(104.008, 116.669, 122.675), std=(1.0,) * 3, pad_value=(104.008, 116.669, 122.675)
)  # fmt: skip


class KeyRules:
    """From our keys to a peer's, by ordered pairs (pattern, replacement); the first full match counts.

    The direction is this one because missing keys are then reported in the words of the file's owner.
    """

    def __init__(self, *rules: tuple[str, Replacement]) -> None:
        self._rules = [(re.compile(pattern), replacement) for pattern, replacement in rules]

    def __call__(self, key: str) -> str:
        """The peer's key for one of ours.

        Raises:
            KeyError: no rule covers it (a mistake in the family, not in the file).
        """
        for pattern, replacement in self._rules:
            match = pattern.fullmatch(key)
            if match is not None:
                return match.expand(replacement) if isinstance(replacement, str) else replacement(match)
        raise KeyError(f"no rule for {key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One checkpoint understood: how to build its network and where its tensors go.

    Attributes:
        architecture: arguments of ``create_model``.
        rules: our keys to the file's.
        ignored: pattern of keys in the file that the network does not need (duplicates, statistics of other tools).
        optional: pattern of *our* keys that the file may leave out: they take the value that makes their layer neutral (a running
            variance of 1 - 1e-5, which with the default epsilon divides by exactly one).
        adapt: changes a tensor on its way in (our key, the file's tensor), e.g. a linear layer stored for a convolution.
        build: makes the network; ``create_model`` of the architecture unless something must be set afterwards.
        title: as shown to users.
        catalog: (built-in) catalog of the documented training set, or None for numbered classes.
        preprocessing: the documented default.
        output_stride: that the weights were published for.
        licence, source, summary: for the card.
        guessed: what the file itself does not say, beside catalog and preprocessing.
    """

    architecture: Mapping[str, Any]
    rules: Callable[[str], str]
    title: str
    ignored: str = r"(?!)"
    optional: str = r"(?!)"
    adapt: Callable[[str, Tensor], Tensor] | None = None
    catalog: str | ClassCatalog | None = None
    preprocessing: Preprocessing = IMAGENET
    output_stride: int = 16
    source: str = ""
    licence: str = ""
    summary: str = ""
    guessed: tuple[str, ...] = ("catalog", "preprocessing", "output_stride")
    extra: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> SegmentationModel:
        """The network with fresh weights (on the current default device)."""
        return create_model(**self.architecture)


class Family(ABC):
    """A source of checkpoints with keys of one pattern.

    Attributes:
        name: short identifier.
        title: as shown to users.
        landmarks: patterns of keys that every checkpoint of the family has; their share that is present is the score.
    """

    name: str = ""
    title: str = ""
    landmarks: tuple[str, ...] = ()

    def score(self, shapes: Shapes) -> float:
        """How much of the family is in the keys, 0..1."""
        present = sum(any(re.fullmatch(mark, key) for key in shapes) for mark in self.landmarks)
        return present / len(self.landmarks)

    def check(self, shapes: Shapes, settings: StoredSettings, path: Path) -> None:  # noqa: B027  (most families build all that they know)
        """Refuse by name what the family's code can make and this program cannot. Raises WeightsError."""

    @abstractmethod
    def describe(self, shapes: Shapes) -> Variant:
        """The variant that a checkpoint with these keys and shapes is.

        Raises:
            KeyError: a tensor that decides the variant is missing; its key is the argument.
        """

    def refine(self, variant: Variant, checkpoint: Checkpoint) -> Variant:  # noqa: ARG002  (tensors say it all in most families)
        """The variant after a look at what is stored beside the tensors (an architecture's name, the file's name)."""
        return variant


def rows(shapes: Shapes, key: str) -> int:
    """Size of a tensor's first dimension, e.g. the number of classes of a classifier's weight."""
    return shapes[key][0]
