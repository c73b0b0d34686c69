"""Exports: corrected masks in the forms that trainings and viewers read, each read back and compared.

:data:`FORMATS` is the table of formats. Names are imported when they are first used, so that listing the formats needs no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from deeplab_core.masks.export.formats import EXPORTERS, FORMATS, ExportFormat, get_exporter

if TYPE_CHECKING:
    from deeplab_core.masks.export.class_map import map_items, parse_class_map
    from deeplab_core.masks.export.exporter import CollectionExporter, Exporter, ExportItem, FileExporter, LayoutExporter, Loss
    from deeplab_core.masks.export.plan import ExistingTarget, ExportPlan, plan_export
    from deeplab_core.masks.export.run import ExportSummary, export_masks, measure_losses
    from deeplab_core.masks.export.setup import ExportSetup
    from deeplab_core.masks.export.splits import SplitPlan, read_splits, share_splits

__all__ = [
    "EXPORTERS",
    "FORMATS",
    "CollectionExporter",
    "ExistingTarget",
    "ExportFormat",
    "ExportItem",
    "ExportPlan",
    "ExportSetup",
    "ExportSummary",
    "Exporter",
    "FileExporter",
    "LayoutExporter",
    "Loss",
    "SplitPlan",
    "export_masks",
    "get_exporter",
    "map_items",
    "measure_losses",
    "parse_class_map",
    "plan_export",
    "read_splits",
    "share_splits",
]

_MODULES = {
    "class_map": ("map_items", "parse_class_map"),
    "exporter": ("CollectionExporter", "Exporter", "ExportItem", "FileExporter", "LayoutExporter", "Loss"),
    "plan": ("ExistingTarget", "ExportPlan", "plan_export"),
    "run": ("ExportSummary", "export_masks", "measure_losses"),
    "setup": ("ExportSetup",),
    "splits": ("SplitPlan", "read_splits", "share_splits"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
