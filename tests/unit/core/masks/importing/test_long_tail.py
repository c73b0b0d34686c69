"""Formats that Datumaro reads for us, in the environment where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deeplab_core.catalogs import get_catalog
from tests.peers import ROOT, run_peer
from tests.unit.core.masks.samples import blobs, photograph

VOC = get_catalog("voc21")


@pytest.mark.parametrize("form", ["datumaro", "coco_instances"])
def test_a_data_set_that_datumaro_wrote_is_read_exactly(tmp_path: Path, form: str) -> None:
    maps, written, images, read = (tmp_path / name for name in ("maps", "written", "images", "read"))
    for folder in (maps, images, read):
        folder.mkdir()
    labels = {name: blobs(VOC, (30, 41), seed) for seed, name in enumerate("ab")}
    for name, values in labels.items():
        np.save(maps / f"{name}.npy", np.where(values == 255, -1, values.astype(int)))
        photograph(images / f"{name}.jpg", values.shape)
    (tmp_path / "classes.json").write_text(json.dumps([(info.name, info.color) for info in VOC.classes]))
    (tmp_path / "names.json").write_text(json.dumps(VOC.names))
    run_peer("datumaro_writes.py", form, maps, tmp_path / "classes.json", written)

    said = run_peer("atrous_reads.py", ROOT, written, images, tmp_path / "names.json", read)

    assert said["items"] == ["a.jpg", "b.jpg"]
    assert set(said["classes"]) >= {info.name for info in VOC.classes}
    assert {name: np.array_equal(np.load(read / f"{name}.npy"), values) for name, values in labels.items()} == {
        "a": True,
        "b": True,
    }
