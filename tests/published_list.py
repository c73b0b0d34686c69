"""A list of published models of the test's own, served by a server of the test's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def use_published_list(monkeypatch: pytest.MonkeyPatch, folder: Path, *rows: dict[str, object]) -> None:
    """Replace the list; rows give what differs from a complete one; those of the family
    "clicks" are click networks. Plain http is allowed: the server has no certificate."""
    complete = {
        "name": "DeepLabv3+, tiny", "publisher": "Example Lab", "family": "atrous", "page": "https://models.example/page",
        "licence": "MIT", "data_licence": "Photographs: CC0", "catalog": "voc21", "classes": 21, "miou": 71.5,
        "miou_on": "VOC 2012 val", "miou_source": "its README",
    }  # fmt: skip
    path = folder / "published.json"
    models = [complete | row for row in rows if row.get("family") != "clicks"]
    clicks = [complete | row for row in rows if row.get("family") == "clicks"]
    path.write_text(json.dumps({"models": models, "click_networks": clicks}))
    monkeypatch.setattr("deeplab_core.hub.published._LIST", path)
    monkeypatch.setattr("deeplab_core.hub.published._PROTECTED", ("https://", "http://127.0.0.1:"))
