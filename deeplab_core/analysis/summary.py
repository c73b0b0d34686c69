"""The figures of an inspected folder as plain values, for JSON and reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.failures import FailureRow
from deeplab_core.analysis.folder import FolderAnalysis, ImageIssue
from deeplab_core.analysis.inspection import FolderInspection
from deeplab_core.analysis.kinds import KIND_TEXT, FailureKind
from deeplab_core.analysis.pairs import PairLoss, pair_loss, pair_loss_to_dict
from deeplab_core.analysis.ranking import OF_PREDICTION, RANKINGS, rank
from deeplab_core.analysis.record import COMPONENTS, ERROR_PIXELS, EXCLUDED
from deeplab_core.analysis.slice_scores import SliceScore, score_axis, sliced_axes
from deeplab_core.analysis.slices import AXIS_TEXT, ObjectAxis, ObjectSlice, PixelSlice, slice_objects
from deeplab_core.analysis.views import confused_pairs
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError

#: Names and versions of the JSON forms; docs/inspection.md describes them.
FORMAT, RANKING_FORMAT = "atrous-inspection-1", "atrous-ranking-1"
#: Label issues of a folder that are listed: the heaviest.
MOST_ISSUES = 10_000
#: Pairs of classes of which the cost is given.
WORST_PAIRS = 8


def inspection_to_dict(
    found: FolderInspection, *, components: int = 50, losses: Sequence[PairLoss] | None = None
) -> dict[str, Any]:
    """Plain values for JSON: shares and scores are 0..1, null if undefined.

    Args:
        found: the folder. Without ground truth only its rankings are given.
        components: how many of the largest error components are listed.
        losses: what some pairs cost; None takes :func:`worst_pairs`.
    """
    folder = found.analysis
    catalog, rankings = folder.catalog, rankings_to_dict(folder)
    head: dict[str, Any] = {"format": FORMAT, "catalog": catalog.to_dict()}
    failed = [error.to_dict() for error in found.failures]
    if not found.compared:
        return {**head, "images": len(folder), "rankings": rankings, "not_inspected": failed}
    counts = folder.total(ERROR_PIXELS)
    unmeasured = folder.unmeasured
    axes = {axis.name: axis for axis in sliced_axes(folder, found.own)}
    scored = {name: score_axis(axis) for name, axis in axes.items()}
    return {
        **head,
        "truth_sha256": found.truth_sha256,
        "images": folder.measured(ERROR_PIXELS),
        "excluded_px": int(folder.total(EXCLUDED)[0]),
        "confusion": {"ids": catalog.ids.tolist(), "counts": counts.tolist()},
        "error_components": folder.total(COMPONENTS).tolist(),
        "pairs": [asdict(pair) for pair in confused_pairs(counts, catalog)],
        "pair_losses": [pair_loss_to_dict(loss) for loss in (worst_pairs(folder) if losses is None else losses)],
        "failures": [failure_row_to_dict(row, catalog, measured=row.kind not in unmeasured) for row in folder.failures()],
        "object_slices": {
            axis.value: {
                "text": AXIS_TEXT[axis.value],
                "measured": axis is not ObjectAxis.VISIBLE_FRACTION or FailureKind.LOW_VISIBLE not in unmeasured,
                "rows": _with_intervals(slice_objects(folder.objects, axis), scored.get(axis.value), "iou_interval"),
            }
            for axis in ObjectAxis
        },
        "pixel_slices": {
            axis.value: {
                "text": AXIS_TEXT[axis.value],
                "rows": _with_intervals(slices.rows(), scored.get(f"pixel_{axis.value}"), "mean_iou_interval"),
            }
            for axis, slices in folder.slices.items()
        },
        "own_slices": {
            name: {"text": axis.text, "unit": axis.unit, "rows": [_slice_to_dict(row) for row in scored[name]]}
            for name, axis in axes.items()
            if axis.own
        },
        "components": [component_to_dict(component) for component in folder.errors.components(limit=components)],
        **({"rankings": rankings} if rankings else {}),
        "notes": {"truth": found.truth_notes.to_list(), "prediction": found.prediction_notes.to_list()},
        "not_inspected": failed,
        "truth_without_prediction": [str(path) for path in found.missing],
        "predictions_without_truth": [str(path) for path in found.extra],
    }


def worst_pairs(folder: FolderAnalysis, limit: int = WORST_PAIRS) -> list[PairLoss]:
    """What the most confused pairs cost, both ways round, the highest symmetric score first; none with the background."""
    pairs = confused_pairs(folder.total(ERROR_PIXELS), folder.catalog, limit=limit)
    return [pair_loss(folder, pair.one, pair.other) for pair in pairs]


def ranking_to_dict(folder: FolderAnalysis, failures: list[AtrousError], *, label_errors: bool) -> dict[str, Any]:
    """Plain values for JSON of a ranked folder.

    Args:
        folder: the images.
        failures: what could not be measured.
        label_errors: with the quality of the given labels and the label issues.
    """
    wrong = [(image, folder.get(image)) for image in sorted(folder)]
    data: dict[str, Any] = {
        "format": RANKING_FORMAT,
        "catalog": folder.catalog.to_dict(),
        "images": len(folder),
        "truth": [
            {"image": image, "pixels": record.labelled_px, "wrong_px": record.wrong_px}
            for image, record in wrong
            if record is not None and record.wrong_px is not None
        ],
        "rankings": rankings_to_dict(folder),
        "not_measured": [error.to_dict() for error in failures],
    }
    if label_errors:
        issues = folder.issues()
        data["label_errors"] = {
            "quality": [{"image": image, "quality": quality} for image, quality in label_quality_of(folder).items()],
            "regions_found": len(issues),
            "regions": [_issue_to_dict(row) for row in issues[:MOST_ISSUES]],
        }
    return data


def label_quality_of(folder: FolderAnalysis) -> dict[str, float]:
    """Softmin quality of the given labels, 0..1, by image, lowest first; images without ground truth are missing."""
    scores = folder.scores("label_errors")
    return {image: 1 - scores[image] for image in rank(scores)}


def _issue_to_dict(row: ImageIssue) -> dict[str, Any]:
    issue = row.issue
    return {
        "image": row.image,
        "given": issue.given,
        "likely": issue.suggested,
        "box": list(issue.box),
        "pixels": issue.pixels,
        "weight": issue.weight,
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


def rankings_to_dict(folder: FolderAnalysis) -> dict[str, Any]:
    """Rankings by the scores of the predictions that at least one image has; every image is in each, those without a score with
    null. With ground truth also how well each found the wrong pixels.
    """
    rows, scored = {}, folder.scored()
    for name in OF_PREDICTION:
        if not scored[name]:
            continue
        scores, gain = folder.scores(name), folder.gain(name)
        rows[name] = {
            "text": RANKINGS[name].text,
            "images": [{"image": image, "score": scores.get(image)} for image in folder.ranking(name)],
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


def _with_intervals(
    rows: Sequence[ObjectSlice | PixelSlice], scores: Sequence[SliceScore] | None, key: str
) -> list[dict[str, Any]]:
    known = [None] * len(rows) if scores is None else [_bounds(score) for score in scores]
    return [{**_plain(asdict(row)), key: bounds} for row, bounds in zip(rows, known, strict=True)]


def _slice_to_dict(row: SliceScore) -> dict[str, Any]:
    return {
        "label": row.label,
        "score": _number(row.score),
        "interval": _bounds(row),
        "count": row.count,
        "images": row.images,
        "pixels": row.pixels,
    }


def _bounds(row: SliceScore) -> list[float] | None:
    return None if any(map(math.isnan, row.interval)) else list(row.interval)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _number(value) if isinstance(value, float) else value for key, value in row.items()}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
