"""The evaluation as one self-contained HTML page: no script, no network, light and dark by the reader's preference.

``evaluation.schema.json`` declares the JSON twin of the page (:mod:`figures`).
"""

from deeplab_core.analysis.report.failures import KindOfFailure, read_failures
from deeplab_core.analysis.report.page import ReportExtras, render_report, write_report
from deeplab_core.analysis.report.pairs import read_pairs
from deeplab_core.analysis.report.reading import OtherCurve, read_other_curve
from deeplab_core.analysis.report.slices import SliceCurve, SlicePoint, read_slices

__all__ = [
    "KindOfFailure",
    "OtherCurve",
    "ReportExtras",
    "SliceCurve",
    "SlicePoint",
    "read_failures",
    "read_other_curve",
    "read_pairs",
    "read_slices",
    "render_report",
    "write_report",
]
