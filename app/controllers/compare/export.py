"""The difference of two runs as a file: JSON and HTML as ``atrous compare`` writes them, or CSV."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.state.run_sides import RunChange
from app.viewmodels.evaluate.charts import csv_text
from deeplab_core.analysis.compare import Comparison, compare_sides
from deeplab_core.analysis.compared_side import ComparedSide
from deeplab_core.analysis.error_comparison import ErrorComparison, table_of_changes
from deeplab_core.atomic import atomic_write, refuse_picture
from deeplab_core.errors import StorageError, message
from deeplab_core.labels import LabelMap
from deeplab_core.records import TrimapBand

#: Bands that both runs are scored in, and the widths that are written: those of ``atrous compare``.
EXPORTED_BAND, _WIDTHS = TrimapBand(width_px=1, rule="edge"), (1, 2, 4, 8, 16, 40)
#: Endings of the files, in the order in which they are offered.
ENDINGS = (".html", ".json", ".csv")
#: Errors fixed, and made, with a picture.
_CUTOUTS = 12

#: Gives the (H, W, 3) image, and the (H, W) ground truth and labels of both runs; None where they are not kept any more.
ReadPixels = Callable[[int], tuple[NDArray[np.uint8], LabelMap, tuple[LabelMap, LabelMap]] | None]


def scores_of(change: RunChange) -> Comparison:
    """What got better and worse in the scores of both runs, as ``atrous compare`` says it.

    Raises:
        MaskFormatError: fewer than two images are in both runs.
    """
    sides = [
        ComparedSide.of_folder(
            folder, Path(side.title.replace("/", " ")), band=EXPORTED_BAND, widths=_WIDTHS, ratio=None
        )
        for side, folder in zip(change.sides, (change.difference.before, change.difference.after), strict=True)
    ]  # fmt: skip
    return compare_sides(sides[0], sides[1])


def export_changes(change: RunChange, errors: ErrorComparison, read: ReadPixels, path: Path) -> None:
    """Write a difference; takes seconds: for a thread.

    Args:
        errors: of ``change``.
        read: for the pictures of an HTML page, by id of the image.
        path: with one of :data:`ENDINGS`.

    Raises:
        StorageError: another ending, or the file cannot be written. ProtectedFile: a photograph or a mask has this name.
        MaskFormatError: fewer than two images are in both runs.
    """
    makers = {".html": _page, ".json": _json, ".csv": _csv}
    make = makers.get(path.suffix.lower())
    if make is None:
        raise StorageError(
            message("unsupported file type for a comparison"),
            remedy=message("Choose one of {endings}", endings=", ".join(ENDINGS)),
            path=path,
        )
    refuse_picture(path, masks_only=False)
    atomic_write(path, make(change, errors, read, path).encode("utf-8", "replace"))


def _page(change: RunChange, errors: ErrorComparison, read: ReadPixels, path: Path) -> str:
    from deeplab_core.analysis.report.comparison import RunImage, render_comparison

    project = change.project

    def image(name: str) -> RunImage:
        def pixels() -> tuple[NDArray[np.uint8], LabelMap, LabelMap, LabelMap] | None:
            found = read(int(name))
            return None if found is None else (found[0], found[1], *found[2])

        return RunImage(change.name(name), project.path_of(project.record(int(name))), pixels)

    return render_comparison(
        scores_of(change), errors, (change.sides[0].title, change.sides[1].title), catalog=project.catalog, cutouts=_CUTOUTS,
        folder=path.parent, images=image, remarks=change.notes,
    )  # fmt: skip


def _json(change: RunChange, errors: ErrorComparison, _read: ReadPixels, _path: Path) -> str:
    runs = {name: side.title for name, side in zip(("before", "after"), change.sides, strict=True)}
    found = {**scores_of(change).to_dict(), "runs": runs, "remarks": list(change.notes)}
    data = {**found, "errors": errors.to_dict(names=change.name)}
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _csv(change: RunChange, errors: ErrorComparison, _read: ReadPixels, _path: Path) -> str:
    return csv_text(table_of_changes(scores_of(change), errors))
