"""TensorFlow's MobileNetV2 release with batch norm folded into biases (the form of deployed networks).

Names are the official graph's (tensorflow/models, research/deeplab). The head has neither atrous branches nor a decoder.
"""

from __future__ import annotations

import re

from deeplab_core.records import Preprocessing
from deeplab_core.weights.families.base import Family, KeyRules, Shapes, Variant, rows

_LEAF = {"weight": "weights", "bias": "biases"}


def _block(match: re.Match[str]) -> str:
    index, part, leaf = int(match[1]), match[2], match[3]
    scope = "expanded_conv" if index == 0 else f"expanded_conv_{index}"
    name = "depthwise_weights" if (part, leaf) == ("depthwise", "weight") else _LEAF[leaf]
    return f"MobilenetV2/{scope}/{part}/{name}"


_SCOPES = {"aspp.branches.0.conv": "aspp0", "aspp.pooling.conv": "image_pooling", "aspp.project.conv": "concat_projection",
           "classifier": "logits/semantic", "encoder.stem.conv": "MobilenetV2/Conv"}  # fmt: skip

_RULES = KeyRules(
    (r"encoder\.blocks\.(\d+)\.(expand|depthwise|project)\.conv\.(weight|bias)", _block),
    (r"(.+)\.(weight|bias)", lambda match: f"{_SCOPES[match[1]]}/{_LEAF[match[2]]}"),
)


class FoldedMobileNet(Family):
    """``<scope>/weights`` and ``<scope>/biases`` without any batch norm."""

    name = "tensorflow_folded"
    title = "TensorFlow DeepLab, MobileNetV2 with folded batch norm"
    landmarks = (
        "MobilenetV2/Conv/weights",
        "MobilenetV2/Conv/biases",
        "aspp0/biases",
        "concat_projection/biases",
        "logits/semantic/weights",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """MobileNetV2 at stride 16, image pooling first, logits stretched corner to corner."""
        classes = rows(shapes, "logits/semantic/weights")
        return Variant(
            architecture={
                "name": "deeplabv3", "backbone": "mobilenet_v2", "num_classes": classes, "output_stride": 16,
                "backbone_options": {"folded_norm": True}, "atrous_rates": [], "branch_order": "pool_first",
                "folded_norm": True, "align_corners": True,
            },
            rules=_RULES,
            title="DeepLabv3 MobileNetV2 (TensorFlow)",
            catalog="voc21" if classes == 21 else None,
            preprocessing=Preprocessing(
                mean=(127.5,) * 3, std=(127.5,) * 3, pad_value=(127.5,) * 3, resize="long_side:513", padding="canvas:513"
            ),
            source="https://github.com/tensorflow/models/tree/master/research/deeplab",
            licence="Apache-2.0",
            summary="Google's MobileNetV2 release without atrous branches or decoder; fast, coarse at edges",
            guessed=("catalog", "preprocessing"),
        )  # fmt: skip
