"""docs/notebook.ipynb runs, and says today what it shows."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from tools.notebook import NOTEBOOK, executed


def shown(notebook: Any) -> list[list[tuple[str, str]]]:
    """What each code cell printed or showed: kinds, and the text of what is text."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            parts = [(name, value) for output in cell.outputs for name, value in _parts(output)]
            found.append([(name, value if name in ("stdout", "text/html") else "") for name, value in parts])
    return found


def _parts(output: Any) -> list[tuple[str, str]]:
    if output.output_type == "stream":
        return [(output.name, output.text)]
    return sorted((kind, str(value)) for kind, value in output.get("data", {}).items())


@pytest.mark.timeout(900)
def test_the_notebook_runs_and_shows_what_it_says() -> None:
    kept = nbformat.read(NOTEBOOK, as_version=4)
    again = executed()
    assert [cell.source for cell in again.cells] == [cell.source for cell in kept.cells]
    for number, (now, before) in enumerate(zip(shown(again), shown(kept), strict=True)):
        assert now == before, f"code cell {number}: run 'make notebook' if the new output is right"


def test_every_result_of_the_core_shows_itself() -> None:
    kinds = {name for cell in shown(nbformat.read(NOTEBOOK, as_version=4)) for name, _ in cell}
    assert {"image/png", "text/html", "stdout"} <= kinds
