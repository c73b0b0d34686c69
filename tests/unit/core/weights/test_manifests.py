"""Every peer variant by its keys and shapes alone: recognised, complete, of the peer's size. No weights are made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from deeplab_core.nn import count_multiply_adds, count_parameters
from deeplab_core.weights.checkpoints import match_keys
from deeplab_core.weights.families import recognise
from deeplab_core.weights.reading import Checkpoint
from tests.unit.core.weights.peers import MODELS, manifest
from tests.unit.core.weights.test_peers import SUPPORTED

FAMILY = {
    "fyu": "fyu_drn", "wkentaro": "fcn", "coincheung": "large_fov", "proto_FCN8s": "fcn", "proto_DeepLabLargeFOV": "large_fov",
    "proto_DeconvNet": "deconvnet", "proto_SegNet": "segnet", "proto_SegNetBasic": "segnet", "proto_Dilation8Large": "dilation",
    "proto_Dilation8Basic": "dilation", "proto_Dilation10": "dilation",
}  # fmt: skip


def variants() -> list[dict[str, Any]]:
    path = MODELS / "summary.json"
    if not path.is_file():
        return []
    rows = json.loads(path.read_text())["models"]
    return [
        row
        for row in rows
        if row["name"].startswith(SUPPORTED) and (MODELS / "manifests" / f"{row.get('manifest')}.json").is_file()
    ]


def checkpoint(name: str) -> Checkpoint:
    tensors = {key: torch.empty(shape, device="meta") for key, shape, _ in manifest(name)["keys"]}
    return Checkpoint(Path(f"{name}.pth"), tensors)


@pytest.mark.skipif(not variants(), reason=f"no manifests here ({MODELS} is absent)")
@pytest.mark.parametrize("row", variants(), ids=lambda row: row["name"])
def test_variant_is_recognised_complete_and_of_the_peers_size(row: dict[str, Any]) -> None:
    found = recognise(checkpoint(row["manifest"]))
    prefix = "_".join(row["name"].split("_")[: 2 if row["name"].startswith("proto") else 1])
    assert found.family.name == FAMILY.get(prefix, prefix)
    with torch.device("meta"):
        model = found.variant.build()
    missing, misshapen, left, _ = match_keys(model, found.checkpoint, found.variant)
    assert (missing, misshapen, left) == ([], [], [])
    stride = re.search(r"_os(8|16)", row["name"])
    if stride and "drn" not in row["name"]:
        model.output_stride = int(stride[1])
    # SegmenTron's ResNet keeps the ImageNet classifier that it never runs.
    unused = sum(t.numel() for key, t in found.checkpoint.tensors.items() if key.startswith("encoder.fc."))
    assert count_parameters(model) + unused == row["params"]
    if "_cls" in row["name"] or "Dilation" in row["name"]:
        # Counted by the peer on the vector per image, and on images that have their margin already.
        return
    height, width = row["flop_input"]
    counted = count_multiply_adds(model, (height, width))
    auxiliary = getattr(model, "auxiliary", None)
    if auxiliary is None:
        assert counted == pytest.approx(row["macs"], rel=0.001)
    else:
        # The peer's figure includes its auxiliary head, which ours runs in training only.
        assert counted < row["macs"] < 1.08 * counted
