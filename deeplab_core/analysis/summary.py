"""The figures of an inspected folder as plain values, for JSON and reports."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from deeplab_core.analysis.board import FailureRow
from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.folder import FolderInspection
from deeplab_core.analysis.folder_ranking import FolderRanking
from deeplab_core.analysis.kinds import KIND_TEXT, FailureKind
from deeplab_core.analysis.slices import AXIS_TEXT, ObjectAxis, slice_objects
from deeplab_core.analysis.views import confused_pairs
from deeplab_core.catalogs.catalog import ClassCatalog

#: Name and version of the JSON form; docs/inspection.md describes it.
FORMAT = "atrous-inspection-1"


def inspection_to_dict(found: FolderInspection, *, components: int = 50, ranking: FolderRanking | None = None) -> dict[str, Any]:
    """Plain values for JSON: shares and scores are 0..1, null where there is none.

    Args:
        found: the folder.
        components: how many of the largest error components are listed.
        ranking: orders of the same folder.
    """
    catalog = found.catalog
    counts = found.board.total().counts
    return {
        "format": FORMAT,
        "catalog": catalog.to_dict(),
        "images": len(found.board),
        "excluded_px": found.excluded_px,
        "confusion": {"ids": catalog.ids.tolist(), "counts": counts.tolist()},
        "error_components": found.index.component_counts.tolist(),
        "pairs": [asdict(pair) for pair in confused_pairs(counts, catalog)],
        "failures": [failure_row_to_dict(row, catalog, measured=row.kind not in found.unmeasured) for row in found.board.rows()],
        "object_slices": {
            axis.value: {
                "text": AXIS_TEXT[axis.value],
                "measured": axis is not ObjectAxis.VISIBLE_FRACTION or FailureKind.LOW_VISIBLE not in found.unmeasured,
                "rows": [_plain(asdict(row)) for row in slice_objects(found.objects, axis)],
            }
            for axis in ObjectAxis
        },
        "pixel_slices": {
            axis.value: {"text": AXIS_TEXT[axis.value], "rows": [_plain(asdict(row)) for row in slices.rows()]}
            for axis, slices in found.slices.items()
        },
        "components": [component_to_dict(component) for component in found.index.components(limit=components)],
        **({} if ranking is None else {"orders": ranking_to_dict(ranking)}),
        "notes": {"truth": found.truth_notes.to_list(), "prediction": found.prediction_notes.to_list()},
        "not_inspected": [error.to_dict() for error in found.failures],
        "truth_without_prediction": [str(path) for path in found.missing],
        "predictions_without_truth": [str(path) for path in found.extra],
    }


def failure_row_to_dict(row: FailureRow, catalog: ClassCatalog, *, measured: bool = True) -> dict[str, Any]:
    """One kind of failure; classes that it does not concern are left out. Of one that was not measured every figure is null."""
    if not measured:
        figures = dict.fromkeys(("pixels", "share", "instances", "images", "mean_gain"))
        return {"kind": row.kind.value, "text": KIND_TEXT[row.kind], "measured": False, **figures, "classes": []}
    return {
        "kind": row.kind.value,
        "text": KIND_TEXT[row.kind],
        "measured": True,
        "pixels": row.pixels,
        "share": _number(row.share),
        "instances": row.instances,
        "images": row.images,
        "mean_gain": _number(row.mean_gain),
        "classes": [
            {"id": info.id, "missed_px": int(missed), "false_px": int(false), "gain": _number(float(gain))}
            for info, missed, false, gain in zip(catalog.classes, row.missed, row.false, row.gain, strict=True)
            if missed or false
        ],
    }


def component_to_dict(component: ErrorComponent) -> dict[str, Any]:
    """One error component."""
    return {
        "image": component.image,
        "truth": component.truth,
        "prediction": component.prediction,
        "box": list(component.box),
        "pixels": component.pixels,
        "centroid": [round(part, 2) for part in component.centroid],
        "anchor": list(component.anchor),
        "kinds": [kind.value for kind in component.kinds],
    }


def ranking_to_dict(ranking: FolderRanking) -> dict[str, Any]:
    """All orders of a folder with their scores and, where there is truth, how well each found the wrong pixels."""
    rows = {}
    for order in ranking.scores:
        gain = ranking.gain(order)
        rows[order] = {
            "text": ranking.text[order],
            "images": [{"image": name, "score": _number(ranking.scores[order][name])} for name in ranking.order(order)],
            "gain": None
            if gain is None
            else {
                "area": gain.area,
                "best_area": gain.best_area,
                "skill": _number(gain.skill),
                "found_in_first_tenth": gain.found_after(0.1),
                "looked": gain.looked.tolist(),
                "found": gain.found.tolist(),
            },
        }
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _number(value) if isinstance(value, float) else value for key, value in row.items()}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
