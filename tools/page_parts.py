"""Parts of pages in docs that a command writes: what stands between markers; what people wrote around them stays."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from deeplab_core.errors import AtrousError


def fill(page: Path, parts: Mapping[str, str]) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- end -->``.

    Raises:
        AtrousError: the page lacks a marker.
    """
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if pattern.search(text) is None:
            remedy = f"Put <!-- {name} --> and <!-- end --> there"
            raise AtrousError(f"the page has no place for '{name}'", remedy=remedy, path=page)
        text = pattern.sub(lambda found, part=part: f"{found[1]}{part.rstrip()}\n{found[2]}", text)
    page.write_text(text, encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first column stands left, numbers right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def percent(value: float) -> str:
    """``0.1234`` as ``12.3``; a dash without a figure."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """``0.0123`` as ``+1.2``, a change; a dash without a figure."""
    if value is None or math.isnan(value):
        return "–"
    rounded = round(100 * value, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"
