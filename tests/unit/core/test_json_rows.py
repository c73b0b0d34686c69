"""JSON in parts against the text as a whole."""

from __future__ import annotations

import json
import math
import os
import tracemalloc

import pytest

from deeplab_core import json_rows
from deeplab_core.json_rows import LazyRows, json_parts
from deeplab_core.reading import json_text


@pytest.mark.parametrize("part", [1, 7, 1 << 17])
def test_json_in_parts_is_the_json_text(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(json_rows, "_PART", part)
    data = {"name": "Zü\u0308", "list": [], "rows": [{"a": 1.5, "b": None}, {"a": "\n"}], "deep": {"x": [1, [2]]}}
    assert b"".join(json_parts(data, indent=1)).decode() == json_text(data, indent=1)
    lazy = {**data, "rows": LazyRows([0, 1], lambda place: data["rows"][place]), "none": LazyRows([], str)}
    assert b"".join(json_parts(lazy, indent=1)).decode() == json_text({**data, "none": []}, indent=1)
    foreign = {"file": os.fsdecode(b"a\xff.png")}
    assert json.loads(b"".join(json_parts(foreign))) == foreign
    with pytest.raises(ValueError, match="not JSON compliant"):
        list(json_parts({"x": math.nan}, allow_nan=False))


def test_lazy_rows_are_not_held_while_they_are_written() -> None:
    rows = LazyRows(range(2000), lambda number: {str(place): number + place / 7 for place in range(100)})
    tracemalloc.start()
    try:
        written = sum(map(len, json_parts({"rows": rows}, indent=1)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(rows) == 2000
    assert written > 4e6
    assert peak < 3e6
