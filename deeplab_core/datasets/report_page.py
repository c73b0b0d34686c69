"""The report on a data set as one HTML page, without scripts or files beside it."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from deeplab_core.datasets.report import DataSetReport

#: How many names a list on the page shows; the JSON has all of them.
_NAMED = 200


def report_page(report: DataSetReport) -> str:
    """The page as text. Names out of files are escaped."""
    largest = max((row.share or 0 for row in report.classes), default=0) or 1
    lists = [
        ("Images without labels", report.unlabelled),
        ("Images without any class but the background", report.empty),
        ("Images that are not reviewed", report.unreviewed or ()),
    ]
    page: str = _template().render(
        report=report,
        warnings=report.warnings(),
        largest=largest,
        lists=[(title, names) for title, names in lists if names],
        named=_NAMED,
    )
    return page


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["spaced"] = lambda number: f"{number:,}".replace(",", "\u202f")
    environment.filters["percent"] = _percent
    source = resources.files("deeplab_core.datasets") / "report.html"
    return environment.from_string(source.read_text(encoding="utf-8"))


def _percent(share: float | None) -> str:
    if share is None:
        return "not measured"
    return "0 %" if not share else "under 0.01 %" if share < 0.0001 else f"{share * 100:.2f} %"
