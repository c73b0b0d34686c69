"""The time of a click with a network of MobileNet size and RITM's signature, which this script builds itself.

    python benchmarks/clicks.py [--threads 2] [--clicks 12]

The network is DeepLabv3+ on MobileNetV2 with random weights: image and mask so far (1, 4, H, W), clicks (1, 2n, 3) drawn as
disks, logits. So its outlines mean nothing, and its time is that of a trained one. The first click sees the whole image (at most
800 px), later ones the surroundings of the object at 400 px. ``graph`` is CPU of ONNX Runtime, ``all`` what the worker spends on
a click, ``merging`` what the window's pool spends on three candidates of the last one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.backends import load_click_model
from deeplab_core.correction.clicks.offers import check_clicks, offers
from deeplab_core.nn import create_model

LIMIT_MS = 150.0
SIZES = ((480, 640), (1728, 2304))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ClickNet(nn.Module):
    """RITM's form: normalisation and click disks inside of the graph."""

    def __init__(self) -> None:
        super().__init__()
        # The decoder as narrow as FocalClick's of MobileNet size: 7.5 MB.
        self.body = create_model(
            "deeplabv3plus", backbone="mobilenet_v2", num_classes=2, output_stride=16, separable=True, aspp_channels=64,
            decoder_channels=64,
        )  # fmt: skip
        self.clicks = nn.Conv2d(3, 3, 1)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, image: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[2], image.shape[3]
        rows = torch.arange(height, dtype=torch.float32).view(1, 1, -1, 1)
        columns = torch.arange(width, dtype=torch.float32).view(1, 1, 1, -1)
        halves = points.view(2, -1, 3)
        y, x = halves[:, :, 0, None, None], halves[:, :, 1, None, None]
        away = (rows - y) ** 2 + (columns - x) ** 2 + 1e6 * (halves[:, :, 2, None, None] < 0)
        disks = (away.amin(dim=1) <= 25).to(torch.float32)[None]
        seen = (image[:, :3] - self.mean) / self.std + self.clicks(torch.cat([image[:, 3:], disks], dim=1))
        scores = self.body(seen)
        return scores[:, 1:] - scores[:, :1]


def build(path: Path) -> Path:
    torch.manual_seed(0)
    network = ClickNet().eval()
    example = torch.rand(1, 4, 256, 320), torch.full((1, 6, 3), -1.0)
    free = {"image": {2: "h", 3: "w"}, "points": {1: "n"}, "logits": {2: "h", 3: "w"}}
    torch.onnx.export(
        network, example, str(path), input_names=["image", "points"], output_names=["logits"], dynamic_axes=free, dynamo=False,
        opset_version=17,
    )  # fmt: skip
    return path


class Timed:
    """A graph that notes how long it runs."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self.milliseconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)

    def run(self, *given: Any, **options: Any) -> Any:
        start = time.process_time()
        found = self._graph.run(*given, **options)
        self.milliseconds = (time.process_time() - start) * 1e3
        return found


def measure(model: Any, graph: Timed, size: tuple[int, int], clicks: int) -> None:
    rng = np.random.default_rng(0)
    rgb = cv2.resize(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    labels = np.zeros(size, np.uint8)
    reach = min(size) // 6
    middle = size[0] // 2, size[1] // 2
    labels[middle[0] - reach : middle[0] + reach, middle[1] - reach : middle[1] + reach] = 7
    painted = np.zeros(size, np.bool_)
    points, signs = [], []
    rows: dict[str, list[tuple[float, float, float]]] = {"first": [], "later": []}
    for number in range(clicks):
        points.append((middle[1] + rng.uniform(-reach, reach), middle[0] + rng.uniform(-reach, reach)))
        signs.append(number % 3 != 2)
        start, wall = time.process_time(), time.perf_counter()
        asked = check_clicks(points, signs, None, size)
        masks = model.masks(rgb, asked.points, asked.positive, None, labels == 7)
        spent, passed = (time.process_time() - start) * 1e3, (time.perf_counter() - wall) * 1e3
        start = time.process_time()
        offers(masks, asked, 7, labels, painted, 255)
        rows["later" if number else "first"].append((graph.milliseconds, spent, passed))
        merged = (time.process_time() - start) * 1e3
    for name, times in rows.items():
        own, spent, passed = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"{size[1]:6d} x {size[0]:5d} {name:5s}  CPU graph {own:6.0f}  all {spent:6.0f}  merging {merged:5.0f}"
            f"   wall {passed:6.0f} ms (limit {LIMIT_MS:.0f} wall)",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clicks", type=int, default=10)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    cv2.setNumThreads(asked.threads)
    with tempfile.TemporaryDirectory() as root:
        path = build(Path(root) / "clicks.onnx")
        print(f"network of {path.stat().st_size / 1e6:.1f} MB, {asked.threads} threads of {os.cpu_count()} cores")
        model = load_click_model(path)
        graph = Timed(model._graph)
        model._graph = graph
        for size in SIZES:
            measure(model, graph, size, asked.clicks)


if __name__ == "__main__":
    main()
