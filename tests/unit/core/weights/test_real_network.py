"""The real network on real photographs, against the labels that its publisher's graph gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deeplab_core.weights import load_model

AGREEMENT = 0.995


def test_masks_of_the_folded_release_agree_with_the_reference(shared_real: Path) -> None:
    model, card = load_model(shared_real / "weights" / "deeplabv3_mnv2_voc_folded.safetensors")
    assert card.catalog.name == "voc21"
    assert card.preprocessing.padding == "canvas:513"
    assert card.align_corners
    rows = [row for row in json.loads((shared_real / "voc_net" / "index.json").read_text()) if "input" in row]
    assert len(rows) >= 20
    pre = card.preprocessing
    for row in rows:
        pixels = np.asarray(Image.open(shared_real / row["input"]))
        labels = np.asarray(Image.open(shared_real / row["labels"]))
        height, width = labels.shape
        canvas = np.empty((513, 513, 3), np.float32)
        canvas[:] = pre.pad_value
        canvas[:height, :width] = pixels
        x = torch.from_numpy((canvas - np.float32(pre.mean)) / np.float32(pre.std)).permute(2, 0, 1)[None]
        with torch.no_grad():
            predicted = model(x)[0].argmax(0).numpy()[:height, :width]
        assert (predicted == labels).mean() >= AGREEMENT, row["image"]
