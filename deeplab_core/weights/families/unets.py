"""milesial/Pytorch-UNet (GPL-3 code) and bfortuner/pytorch_tiramisu (MIT)."""

from __future__ import annotations

import re

from deeplab_core.records import Preprocessing
from deeplab_core.weights.families.base import Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import PAIR, Rule

#: Pixels scaled to 0..1, no mean.
_UNIT = Preprocessing(mean=(0.0,) * 3, std=(255.0,) * 3, pad_value=(0.0,) * 3)

#: Channel statistics of CamVid in bfortuner's data loader, on the 0..255 scale.
_CAMVID = Preprocessing(
    mean=(105.0332, 108.4069, 110.3313), std=(69.9045, 72.6910, 72.1251), pad_value=(105.0332, 108.4069, 110.3313)
)


class Milesial(Family):
    """``inc``, ``down1..4``, ``up1..4``, ``outc``."""

    name = "milesial"
    title = "milesial/Pytorch-UNet"
    landmarks = (
        r"inc\.double_conv\.0\.weight",
        r"down4\.maxpool_conv\.1\.double_conv\.0\.weight",
        r"up1\.conv\.double_conv\.0\.weight",
        r"outc\.conv\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """U-Net with transposed convolutions or bilinear upsampling."""
        classes = rows(shapes, "outc.conv.weight")
        transposed = "up1.up.weight" in shapes

        def double(prefix: str) -> list[Rule]:
            def place(match: re.Match[str]) -> str:
                *earlier, which, kind, leaf = match.groups()
                number = (0 if which == "first" else 3) + (kind == "norm")
                head = prefix.replace("#", str(int(earlier[0]) + 1)) if earlier else prefix
                return f"{head}.double_conv.{number}.{leaf}"

            ours = {"inc": r"stem", "down#.maxpool_conv.1": r"down\.(\d)", "up#.conv": r"up\.(\d)\.conv"}[prefix]
            return [(rf"{ours}\.(first|second)\.{PAIR}", place)]

        rules: list[Rule] = [
            *double("inc"),
            *double("down#.maxpool_conv.1"),
            *double("up#.conv"),
            (r"up\.(\d)\.up\.(\w+)", lambda m: f"up{int(m[1]) + 1}.up.{m[2]}"),
            (r"classifier\.(\w+)", r"outc.conv.\1"),
        ]
        return Variant(
            architecture={"name": "unet", "num_classes": classes, "upsampling": "transposed" if transposed else "bilinear"},
            rules=KeyRules(*rules),
            title="U-Net (milesial)",
            catalog={21: "voc21", 19: "cityscapes19", 11: "camvid11"}.get(classes),
            preprocessing=_UNIT,
            output_stride=1,
            source="https://github.com/milesial/Pytorch-UNet",
            licence="GPL-3.0 (code); weights as their trainer says",
            summary="Classes are the trainer's own: check the catalog. Its authors predict at half size",
        )


class Tiramisu(Family):
    """``firstconv``, ``denseBlocksDown``, ``transDownBlocks``, ``bottleneck``, ``transUpBlocks``, ``finalConv``."""

    name = "tiramisu"
    title = "bfortuner/pytorch_tiramisu"
    landmarks = (
        r"firstconv\.weight",
        r"denseBlocksDown\.0\.layers\.0\.norm\.weight",
        r"transUpBlocks\.0\.convTrans\.weight",
        r"finalConv\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """FC-DenseNet by the number of layers of its blocks."""
        classes = rows(shapes, "finalConv.weight")

        def depths(prefix: str) -> list[int]:
            pattern = re.compile(rf"{prefix}(\d+)\.layers\.(\d+)\.conv\.weight")
            found: dict[int, int] = {}
            for key in shapes:
                if match := pattern.fullmatch(key):
                    found[int(match[1])] = max(found.get(int(match[1]), 0), int(match[2]) + 1)
            return [found[number] for number in sorted(found)]

        bottleneck = sum(re.fullmatch(r"bottleneck\.bottleneck\.layers\.\d+\.conv\.weight", key) is not None for key in shapes)
        rules: list[Rule] = [
            (r"stem\.(\w+)", r"firstconv.\1"),
            (r"down\.(.+)", r"denseBlocksDown.\1"),
            (r"pool\.(.+)", r"transDownBlocks.\1"),
            (r"bottleneck\.(.+)", r"bottleneck.bottleneck.\1"),
            (r"unpool\.(\d+)\.(\w+)", r"transUpBlocks.\1.convTrans.\2"),
            (r"up\.(.+)", r"denseBlocksUp.\1"),
            (r"classifier\.(\w+)", r"finalConv.\1"),
        ]
        return Variant(
            architecture={
                "name": "fc_densenet",
                "num_classes": classes,
                "down": depths(r"denseBlocksDown\."),
                "bottleneck": bottleneck,
                "up": depths(r"denseBlocksUp\."),
                "growth": rows(shapes, "denseBlocksDown.0.layers.0.conv.weight"),
                "stem": rows(shapes, "firstconv.weight"),
            },
            rules=KeyRules(*rules),
            title="FC-DenseNet (bfortuner)",
            catalog="camvid11" if classes == 11 else None,
            preprocessing=_CAMVID,
            output_stride=1,
            source="https://github.com/bfortuner/pytorch_tiramisu",
            licence="MIT (code); weights trained on CamVid",
            summary="With 12 classes the last one is CamVid's void",
        )
