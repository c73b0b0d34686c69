"""Which channels of a network mean which class of the corrected masks, and rows for classes that it never knew."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo, map_catalogs
from deeplab_core.errors import WeightsError, message
from deeplab_core.labels import apply_lut
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.training.transfer import classifier_names

#: Share of the parent's probability that a new class begins with.
_BEGINNING = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class ClassPlan:
    """How the labels of corrected masks and the channels of a network belong together.

    Attributes:
        labels: catalog of the corrected masks.
        catalog: of the adapted model: the old classes in their order, then the new ones.
        old: number of channels of the model before.
        means: (C,) int64: for each channel the place of its class in ``labels``, -1 where it has none there.
        threshold: of the model's card, None but for a network of one channel. Its C is 2 all the same: background and object.
    """

    labels: ClassCatalog
    catalog: ClassCatalog
    old: int
    means: NDArray[np.int64]
    threshold: float | None = None

    @property
    def new(self) -> range:
        """Channels that are added."""
        return range(self.old, len(self.catalog))

    def members(self) -> Tensor:
        """(L, C) bool: which channels stand for each class of ``labels``."""
        places = np.arange(len(self.labels))[:, None]
        return torch.from_numpy(places == self.means[None, :])

    def taught(self) -> NDArray[np.bool_]:
        """(L,) bool: classes of ``labels`` that the network can say."""
        known: NDArray[np.bool_] = np.isin(np.arange(len(self.labels)), self.means)
        return known

    def decided(self, predicted: NDArray[Any]) -> NDArray[Any]:
        """(H, W) ids of ``labels`` for predicted ids of ``catalog``; void where a class has no partner."""
        lut = np.full(self.catalog.ignore + 1, self.labels.ignore, self.labels.dtype)
        lut[self.catalog.ids] = np.append(self.labels.ids, self.labels.ignore)[self.means]
        return apply_lut(predicted, lut)


def plan_classes(
    model: ClassCatalog,
    labels: ClassCatalog,
    pairs: Mapping[int, int | None] | None = None,
    new: Collection[int] = (),
) -> ClassPlan:
    """Bring the classes of a model and those of corrected masks together.

    Args:
        model: the model's catalog.
        labels: catalog of the corrected masks.
        pairs: what each class of the model means among the labels, by id; None matches by name.
        new: ids of ``labels`` that the model has no class for and is to learn.
    """
    if pairs is None:
        pairs = dict(map_catalogs(model, labels).pairs)
    partners = [pairs.get(info.id) for info in model.classes]
    means = [-1 if partner is None else labels.index_of(partner) for partner in partners]
    classes = list(model.classes)
    for class_id in dict.fromkeys(new):
        place = labels.index_of(class_id)
        if place not in means:
            classes.append(_admitted(labels.classes[place], classes, model.ignore))
            means.append(place)
    grown = len(classes) > len(model)
    catalog = model
    if grown:
        names = ", ".join(info.name for info in classes[len(model) :])
        catalog = replace(model, name=f"{model.name}+{len(classes) - len(model)}", title=f"{model.title} and {names}",
                          classes=tuple(classes))  # fmt: skip
    return ClassPlan(labels, catalog, len(model), np.array(means, np.int64))


def _admitted(info: ClassInfo, classes: list[ClassInfo], ignore: int) -> ClassInfo:
    """A class of the labels as one of the model's: under its own id and name where these are free."""
    ids = {other.id for other in classes}
    names = {other.name for other in classes}
    class_id = info.id if info.id not in ids else next(n for n in range(ignore) if n not in ids)
    name = info.name if info.name not in names else f"{info.name} (new)"
    return ClassInfo(class_id, name, info.color)


def grow(model: SegmentationModel, parents: tuple[int, ...]) -> SegmentationModel:
    """The network with further classes, each starting as a copy of another one.

    A new class takes :data:`_BEGINNING` of its parent's probability (shared among the parent's children), so that at first
    parent and children together are exactly as probable as the parent was (as Cermelli et al. 2020 start new classes from the
    background).

    Args:
        model: left as it is.
        parents: old channel that each new one starts from.

    Raises:
        WeightsError: the classes run through more than the last layers, so that none can be added.
    """
    if not parents:
        return model
    if model.sigmoid:
        raise WeightsError(
            message("this network cannot learn new classes"),
            why=message("its one channel tells one class from the background (sigmoid)"),
            remedy=message("Match the new classes to old ones, or use a network with a score for each class"),
        )
    count = model.num_classes
    larger = create_model(**{**model.architecture, "num_classes": count + len(parents)})
    if model.output_stride != larger.output_stride:
        larger.output_stride = model.output_stride
    rows = torch.tensor([*range(count), *parents])
    state = {}
    for name, target in larger.state_dict().items():
        source = model.state_dict()[name]
        axes = [axis for axis, (a, b) in enumerate(zip(source.shape, target.shape, strict=True)) if a != b]
        if len(axes) > 1 or (axes and source.shape[axes[0]] != count):
            raise WeightsError(
                message("this network cannot learn new classes"),
                why=message("its layer {name} mixes the classes", name=name),
                remedy=message("Match the new classes to old ones, or use a network with one classifier"),
            )
        state[name] = source.index_select(axes[0], rows) if axes else source
    extra = model.auxiliary_key_prefix
    heads = [name for name in classifier_names(model) if not (extra and name.startswith(extra)) and f"{name}.bias" in state]
    for name in heads[-1:]:  # scores of several classifiers are added up: one of them carries the offset
        state[f"{name}.bias"] = _shared_out(state[f"{name}.bias"].clone(), count, parents)
    larger.load_state_dict(state)
    return larger.eval()


def _shared_out(bias: Tensor, count: int, parents: tuple[int, ...]) -> Tensor:
    for place, parent in enumerate(parents):
        bias[count + place] += float(np.log(_BEGINNING / parents.count(parent)))
    for parent in set(parents):
        bias[parent] += float(np.log(1 - _BEGINNING))
    return bias
