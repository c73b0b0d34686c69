"""Exports: corrected masks in the forms that trainings and viewers read, each read back and compared."""

from __future__ import annotations

from collections.abc import Callable

from deeplab_core.errors import ExportError
from deeplab_core.masks.export.cityscapes import CityscapesIdsExporter, CityscapesTrainIdsExporter
from deeplab_core.masks.export.coco import CocoRleExporter
from deeplab_core.masks.export.exporter import CollectionExporter, Exporter, ExportItem, FileExporter
from deeplab_core.masks.export.masks import ColorExporter, IndexedExporter, NpyExporter, RawIdsExporter
from deeplab_core.masks.export.overlay import OverlayExporter
from deeplab_core.masks.export.plan import ExistingTarget, ExportPlan, plan_export
from deeplab_core.masks.export.run import ExportSummary, export_masks

#: Every exporter by name, in the order in which choices are shown.
EXPORTERS: dict[str, Callable[..., Exporter]] = {
    kind.name: kind
    for kind in (
        IndexedExporter,
        RawIdsExporter,
        CityscapesIdsExporter,
        CityscapesTrainIdsExporter,
        ColorExporter,
        OverlayExporter,
        NpyExporter,
        CocoRleExporter,
    )
}


def get_exporter(name: str, **options: object) -> Exporter:
    """An exporter by name; ``options`` as its class documents them. Raises ExportError naming the choices."""
    if name not in EXPORTERS:
        raise ExportError(f"there is no export format '{name}'", remedy=f"Choose one of {', '.join(EXPORTERS)}")
    return EXPORTERS[name](**options)


__all__ = [
    "EXPORTERS",
    "CollectionExporter",
    "ExistingTarget",
    "ExportItem",
    "ExportPlan",
    "ExportSummary",
    "Exporter",
    "FileExporter",
    "export_masks",
    "get_exporter",
    "plan_export",
]
