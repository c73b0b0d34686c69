"""The study's curves as SVG files that follow the reader's light or dark colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deeplab_core.analysis import ObjectAxis
from deeplab_core.analysis.report.page import style_sheet
from deeplab_core.analysis.report.plots import slices_svg
from deeplab_core.analysis.report.slices import SliceCurve, SlicePoint
from tools.studies.chairs_and_sofas.runs import FURNITURE, SETTINGS, Result

#: Least objects behind a point; fewer say nothing.
_LEAST = 5
#: Band widths that are drawn, px.
_WIDTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 40)
_X_LABELS = {
    ObjectAxis.VISIBLE_FRACTION: "visible share of the object, from",
    ObjectAxis.BORDER_SHARE: "share of the object's outline that another object touches, from",
}


def draw_slices(results: Sequence[Result], axis: ObjectAxis, path: Path) -> None:
    """IoU of chairs and sofas over an axis, one pair of curves per result."""
    curves = [
        SliceCurve(
            title="IoU of chair and sofa",
            x_label=_X_LABELS[axis],
            series=f"{name}, {result.model}" if len(results) > 1 else name,
            points=tuple(
                SlicePoint(x=row.low, label=f"{row.low:.0%}", score=row.iou, objects=row.objects)
                for row in result.sliced(axis, name)
                if row.objects >= _LEAST
            ),
        )
        for result in results
        for name in FURNITURE
    ]
    _write(slices_svg(curves), path)


def draw_bands(results: Sequence[Result], path: Path) -> None:
    """Trimap curves of several settings."""
    curves = [
        SliceCurve(
            title="Mean IoU near class edges",
            x_label="band width, px",
            series=SETTINGS[result.variant],
            points=tuple(SlicePoint(x=float(width), score=float(result.band_curve()[width - 1])) for width in _WIDTHS),
        )
        for result in results
    ]
    _write(slices_svg(curves), path)


def _write(svg: str, path: Path) -> None:
    """A file of its own: name space, style sheet and a background in place of the page's."""
    start = svg.index(">") + 1
    opening = svg[: start - 1].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    text = f"{opening}><style>{style_sheet()}</style><rect width='100%' height='100%' style='fill:var(--card)'/>{svg[start:]}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
