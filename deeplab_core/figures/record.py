"""What a figure is: its name, what it needs, what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap
from deeplab_core.nn import SegmentationModel
from deeplab_core.records import ModelCard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What a figure is computed from, beside its own parameters.
Need = Literal["image", "model", "folder"]


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A network, its card, and the name that the figure shows."""

    name: str
    model: SegmentationModel
    card: ModelCard


@dataclass(frozen=True, slots=True, eq=False)
class TruthPair:
    """One image of a folder with its ground truth.

    Attributes:
        name: of the image, for lists.
        rgb: (H, W, 3) uint8.
        truth: (H, W) class ids of the folder's catalog.
    """

    name: str
    rgb: NDArray[np.uint8]
    truth: LabelMap


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureInputs:
    """Everything that the figures may ask for; each takes what it needs.

    Attributes:
        image: (H, W, 3) uint8 picture.
        image_name: what the data says of it.
        models: networks to compare; figures of one network take the first.
        pairs: reads the images of a folder with their ground truth, one at a time.
        pair_count: how many there are.
        catalog: classes of that ground truth.
        rates: atrous rates of a stack of 3x3 convolutions.
        network: a network to walk layer by layer in place of the stack.
        scales: of the input, for figures that vary it.
        band: width in px within which band figures are counted.
        steps: optimiser steps, of one image each, of figures that train.
        seed: of everything that is drawn by chance.
        progress: called with a sentence for each step of a long figure.
    """

    image: NDArray[np.uint8] | None = None
    image_name: str = ""
    models: tuple[NamedModel, ...] = ()
    pairs: Callable[[], Any] | None = None
    pair_count: int = 0
    catalog: ClassCatalog | None = None
    rates: tuple[int, ...] = (1, 2, 4)
    network: NamedModel | None = None
    scales: tuple[float, ...] = (0.75, 1.0, 1.25)
    band: int = 4
    steps: int = 120
    seed: int = 0
    progress: Callable[[str], None] | None = None

    def say(self, text: str) -> None:
        """Report a step."""
        if self.progress is not None:
            self.progress(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFigure:
    """A figure and the numbers in it.

    Attributes:
        figure: to be saved.
        rows: the numbers as a table: one mapping of plain values per row, the same keys in each.
        parameters: what the numbers belong to (rates, model, image), JSON values.
        times: measured times by name, in seconds. They are kept apart because they differ from run to run.
    """

    figure: Figure
    rows: list[dict[str, Any]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSpec:
    """A figure that ``atrous figures`` can make.

    Attributes:
        name: on the command line and of its files.
        title: short.
        caption: what it shows and how to read it.
        source: the paper and figure that it goes back to.
        needs: what has to be given.
        draw: makes it.
    """

    name: str
    title: str
    caption: str
    source: str
    needs: frozenset[Need]
    draw: Callable[[FigureInputs], DrawnFigure]


@dataclass(frozen=True, slots=True)
class WrittenFigure:
    """Files of one figure."""

    spec: FigureSpec
    files: tuple[Path, ...]
