"""Edits: what brush, fill, lasso and polygon do to a document. Pure functions of arrays; every one ends in a TilePatch.

The pixel rule of all of them: a pixel belongs to a shape if its *centre* does. Pixel (column, row) covers the square
``[column, column + 1) x [row, row + 1)`` and has its centre at ``(column + 0.5, row + 0.5)``.
"""

from app.state.edits.limits import NO_LIMITS, EditLimits
from app.state.edits.raster import Spans, capsule_spans, disk_spans, line_pixels
from app.state.edits.region import connected_region, eraser_value, fill_patch, polygon_patch, region_patch
from app.state.edits.stroke import StrokeSession

__all__ = [
    "NO_LIMITS",
    "EditLimits",
    "Spans",
    "StrokeSession",
    "capsule_spans",
    "connected_region",
    "disk_spans",
    "eraser_value",
    "fill_patch",
    "line_pixels",
    "polygon_patch",
    "region_patch",
]
