"""Everything that one export was asked for, apart from its images and its target: the command line and the window fill it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, ExportError, message
from deeplab_core.images.identity import content_key
from deeplab_core.masks.export.class_map import map_items
from deeplab_core.masks.export.exporter import Exporter, ExportItem
from deeplab_core.masks.export.formats import FORMATS, get_exporter
from deeplab_core.masks.export.splits import SplitPlan, group_of, read_splits, share_splits


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSetup:
    """How masks are exported.

    Attributes:
        format: name of the format.
        options: arguments of the format's class; names that it does not have are refused.
        class_map: class -> class of the files, or ``"void"``; see :func:`deeplab_core.masks.export.class_map.map_classes`.
        catalog: classes of the files; None takes the project's.
        unmatched_to_void: classes without a partner become void.
        shares: split -> share; empty for none.
        lists: split -> text file with names; empty for none. Images in no list are left out.
        seed: of the shares.
        group: what keeps images together, see :func:`deeplab_core.masks.export.splits.group_of`.
        stratified: balance classes between the splits; every mask is read once more for it.
    """

    format: str
    options: Mapping[str, Any] = field(default_factory=dict)
    class_map: Mapping[str, str] = field(default_factory=dict)
    catalog: ClassCatalog | None = None
    unmatched_to_void: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    lists: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    group: str = ""
    stratified: bool = True

    def exporter(self) -> Exporter:
        """The exporter. Raises ExportError for an unknown format, an option that it does not have, or a missing extra."""
        known = FORMATS[self.format].options if self.format in FORMATS else ()
        strange = [name for name in self.options if name not in known]
        if strange and self.format in FORMATS:
            raise ExportError(
                message("the format {format} has no option '{option}'", format=self.format, option=strange[0]),
                remedy=message("Its options are {known}", known=", ".join(known)) if known else message("It has no options"),
            )
        options = dict(self.options)
        if "unmatched_to_void" in known and self.unmatched_to_void:
            options["unmatched_to_void"] = True
        return get_exporter(self.format, **options)

    def prepare(
        self, items: Sequence[ExportItem], progress: Callable[[str], None] | None = None
    ) -> tuple[list[ExportItem], SplitPlan | None]:
        """The items with the classes and splits of the files, and how they were split.

        Args:
            items: of one project.
            progress: called with the name of each image that was looked into for the splits.

        Raises:
            ExportError: see :func:`map_items`, :func:`share_splits` and :func:`read_splits`.
            DataFileError: a list cannot be read.
        """
        mapped = map_items(items, self.class_map, self.catalog, unmatched_to_void=self.unmatched_to_void)
        if self.shares and self.lists:
            raise ExportError(message("splits are given by shares and by lists"), remedy=message("Give one of them"))
        if not self.shares and not self.lists:
            return mapped, None
        names = [item.name for item in mapped]
        keys = _keys(mapped)
        if self.lists:
            plan = read_splits(names, self.lists, keys=keys)
        else:
            classes = _classes(mapped, progress) if self.stratified else None
            plan = share_splits(names, self.shares, seed=self.seed, classes=classes, group=group_of(self.group), keys=keys)
        return [replace(item, split=plan.parts[item.name]) for item in mapped if item.name in plan.parts], plan


def _keys(items: Sequence[ExportItem]) -> dict[str, str]:
    """Content keys of the images that can be read; the others fail when their turn comes."""
    found = {}
    for item in items:
        if item.image_path is not None:
            try:
                found[item.name] = content_key(item.image_path)
            except AtrousError:
                continue
    return found


def _classes(items: Sequence[ExportItem], progress: Callable[[str], None] | None) -> dict[str, list[int]]:
    """Class ids of every image with readable labels, void and background left out."""
    found = {}
    for item in items:
        try:
            labels = item.labels()
        except AtrousError:
            labels = None
        if labels is not None:
            left_out = {int(item.catalog.ignore), item.catalog.background}
            found[item.name] = [int(value) for value in np.unique(labels) if int(value) not in left_out]
        if progress is not None:
            progress(item.name)
    return found
