"""Reading back what ``atrous evaluate --json`` wrote: the layout's check, and the trimap curve of another model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.evaluation import FORMAT
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, MaskFormatError, message
from deeplab_core.metrics.confusion import check_same_classes
from deeplab_core.metrics.trimap import WIDEST, BandAround, BandRule
from deeplab_core.reading import VALUE_ERRORS, read_json, reason, shorten

#: Largest report that is read, bytes: one of 10,000 images has some 50 MB.
MAX_REPORT_BYTES = 512 << 20

_REMEDY = message("Write it with 'atrous evaluate --json'")


@dataclass(frozen=True, slots=True, eq=False)
class OtherCurve:
    """The trimap curve of another model.

    Attributes:
        name: what the plot calls it.
        catalog: its classes.
        rule, around: of its band; curves of different ones must not share a plot.
        mean_iou: (40,) float64, 0..1 for the widths 1 to 40 px; nan where the band is empty.
        over_truth: whether the means run over the classes of the ground truth, so that models can be compared by them; reports
            of older versions have them over the classes of ground truth or prediction only.
    """

    name: str
    catalog: ClassCatalog
    rule: str
    around: str
    mean_iou: NDArray[np.float64]
    over_truth: bool = True

    def check(self, catalog: ClassCatalog, rule: BandRule, around: BandAround = "truth") -> None:
        """Raise CatalogError or MaskFormatError if this curve cannot be drawn with those of such an evaluation."""
        check_same_classes(catalog, self.catalog)
        if (self.rule, self.around) != (rule, around):
            raise MaskFormatError(
                message("the trimap curve of {name} cannot be drawn in this report", name=self.name),
                why=message(
                    "Its band is '{own_rule}' around the {own_around}, the report's '{rule}' around the {around}",
                    own_rule=self.rule,
                    own_around=self.around,
                    rule=rule,
                    around=around,
                ),
                remedy=message("Evaluate both with the same --band-rule"),
            )


def read_figures(path: Path) -> dict[str, Any]:
    """The plain values of an evaluation. Raises MaskFormatError where the file is none, or one of another version."""
    data = read_json(path, limit=MAX_REPORT_BYTES, what="the report", remedy=_REMEDY, error=MaskFormatError)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        why = message("Its format is {found}; this program reads {expected}", found=shorten(found), expected=repr(FORMAT))
        raise MaskFormatError(message("this is not a report that can be compared"), why=why, remedy=_REMEDY, path=path)
    return data


def damaged(path: Path, error: Exception) -> MaskFormatError:
    """The error for a report of the right format that lacks what its format promises."""
    return MaskFormatError(message("the report is damaged"), why=reason(error), remedy=_REMEDY, path=path)


def read_other_curve(path: Path | str) -> OtherCurve:
    """The trimap curve of an evaluation's file, named like the file. Raises MaskFormatError or CatalogError."""
    path = Path(path)
    data = read_figures(path)
    try:
        bands, catalog = data["bands"], ClassCatalog.from_dict(data["catalog"])
        over_truth = all("mean_iou_truth" in row for row in bands["curve"])
        scores = {int(row["width_px"]): row["mean_iou_truth" if over_truth else "mean_iou"] for row in bands["curve"]}
        curve = [math.nan if scores[width] is None else float(scores[width]) for width in range(1, WIDEST + 1)]
        return OtherCurve(path.stem, catalog, str(bands["rule"]), str(bands["around"]), np.array(curve), over_truth)
    except AtrousError as error:
        error.path = path
        raise
    except VALUE_ERRORS as error:
        raise damaged(path, error) from error
