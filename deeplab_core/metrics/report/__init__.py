"""The evaluation as one self-contained HTML page: no script, no network, light and dark by the reader's preference."""

from deeplab_core.metrics.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
