"""Write docs/models/networks.md: parameters and multiply-adds of the package's networks beside the papers' figures.

Run from the repository: ``python -m tools.network_table``. Nothing is trained or downloaded; counting works on shapes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deeplab_core.nn import SegmentationModel, count_multiply_adds, count_parameters, create_model

OUT = Path(__file__).resolve().parents[1] / "docs" / "models" / "networks.md"
SIDE = 513


@dataclass(frozen=True)
class Row:
    """One network: what to build, and what others state about the same layout."""

    title: str
    arguments: dict[str, Any]
    strides: tuple[int, ...] = (16, 8)
    peer: str = ""
    paper: dict[int, str] = field(default_factory=dict)
    side: int = SIDE


ROWS: tuple[Row, ...] = (
    Row("DeepLabv3+ ResNet-50", {"backbone": "resnet50"}),
    Row(
        "DeepLabv3+ ResNet-101, multi-grid (1, 2, 4)",
        {"backbone": "resnet101", "backbone_options": {"multi_grid": [1, 2, 4]}},
        strides=(32, 16, 8),
        peer="jfzhang95: 59.344 M, 92.82 G at 16, 267.92 G at 8",
        paper={32: "74.20", 16: "101.28", 8: "297.92"},
    ),
    Row(
        "DeepLabv3+ ResNet-101, naive decoder",
        {"backbone": "resnet101", "decoder": "bilinear"},
        strides=(32, 16, 8),
        paper={32: "52.43", 16: "81.02", 8: "276.18"},
    ),
    Row(
        "DeepLabv3+ ResNet-50, one decoder convolution",
        {"backbone": "resnet50", "decoder_convs": 1, "decoder_order": "low_level_first", "align_corners": False},
        peer="VainF: 39.762 M, 62.38 G at 16, 178.09 G at 8",
    ),
    Row(
        "DeepLabv3+ Xception-65, separable",
        {"backbone": "xception65", "separable": True},
        peer="nyoki-mtl, SegmenTron: 41.055 M, 54.03 G at 16, 176.85 G at 8",
        paper={16: "54.17", 8: "177.10"},
    ),
    Row("DeepLabv3+ Xception-65", {"backbone": "xception65"}, paper={16: "89.76", 8: "262.59"}),
    Row(
        "DeepLabv3+ Xception-65, naive decoder",
        {"backbone": "xception65", "decoder": "bilinear"},
        paper={16: "68.00", 8: "240.85"},
    ),
    Row("DeepLabv3+ Xception-71, separable", {"backbone": "xception71", "separable": True}),
    Row(
        "DeepLabv3+ MobileNetV2",
        {"backbone": "mobilenet_v2"},
        peer="jfzhang95: 5.816 M (27.07 G at 16: it pads before expanding)",
    ),
    Row(
        "DeepLabv3 MobileNetV2, no atrous branches",
        {"name": "deeplabv3", "backbone": "mobilenet_v2", "atrous_rates": [], "branch_order": "pool_first"},
        peer="nyoki-mtl: 2.114 M, 8.83 G at 8",
        paper={16: "2.75"},
    ),
    Row(
        "DeepLabv3 ResNet-50, torchvision's head",
        {"name": "deeplabv3", "backbone": "resnet50", "after_aspp": "conv", "align_corners": False},
        peer="VainF: 39.639 M, 51.08 G at 16, 168.65 G at 8",
    ),
    Row(
        "DeepLabv2 ResNet-101",
        {"name": "deeplabv2", "backbone": "resnet101"},
        strides=(8,),
        peer="kazuto1011: 44.049 M, 188.89 G",
    ),
    Row("DRN-D-22", {"name": "drn", "backbone": "drn_d_22", "num_classes": 19}, strides=(8,), peer="fyu: 15.895 M, 70.23 G"),
    Row("DRN-D-105", {"name": "drn", "backbone": "drn_d_105", "num_classes": 19}, strides=(8,), peer="fyu: 54.303 M, 233.49 G"),
    Row("LR-ASPP MobileNetV3-Large", {"name": "lraspp"}, strides=(16,), peer="torchvision: 3.222 M, 2.08 G"),
    Row("U-Net", {"name": "unet", "num_classes": 2}, strides=(1,), peer="milesial: 31.038 M, 192.84 G"),
)

HEAD = f"""# Networks: size and cost

Written by `python -m tools.network_table`; do not edit by hand.

Parameters do not include batch norm's running statistics. Multiply-adds are those of convolutions, transposed
convolutions and linear layers for one {SIDE} x {SIDE} image. `peer` is the figure of another implementation of the same
layout, measured on its own code; ours equals it (tests/unit/core/nn/test_counts.py). `paper` is the authors' figure,
in 10^9: DeepLabv3+ (arXiv 1802.02611, tables 3 and 5) and TensorFlow's model zoo. Their ResNet-101 rows count their
own variant of the network: its first layers are three 3x3 convolutions and its blocks stride at their end. Ours, the
common layout, is therefore below them. The paper's plain Xception rows are 3.1 G (stride 16) above ours and above
every implementation we know; its separable rows agree within 0.3 %.

The radius is the theoretical one in input pixels, by layer arithmetic, without image-level pooling.

| network | parameters (M) | output stride | multiply-adds (G) | paper (G) | radius (px) | peer of the same layout |
|---|---|---|---|---|---|---|
"""


def build(arguments: dict[str, Any]) -> SegmentationModel:
    """A network without memory behind its weights."""
    with torch.device("meta"):
        return create_model(**{"name": "deeplabv3plus", **arguments})


def table() -> str:
    """The whole page."""
    lines = []
    for row in ROWS:
        model = build(row.arguments)
        parameters = f"{count_parameters(model) / 1e6:.3f}"
        for number, stride in enumerate(row.strides):
            model.output_stride = stride
            giga = count_multiply_adds(model, (row.side, row.side)) / 1e9
            first = number == 0
            cells = (
                row.title if first else "",
                parameters if first else "",
                str(stride),
                f"{giga:.2f}",
                row.paper.get(stride, ""),
                str(model.receptive_radius()),
                row.peer if first else "",
            )
            lines.append("| " + " | ".join(cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(table(), encoding="utf-8")
    print(f"wrote {OUT}")
