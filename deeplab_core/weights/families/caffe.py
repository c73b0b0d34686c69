"""The classic networks under Caffe's layer names: the official releases converted to a state dict, and PyTorch ports of them.

FCN (shelhamer/fcn.berkeleyvision.org, wkentaro/pytorch-fcn), DeepLab-LargeFOV (the authors' prototxt, CoinCheung's port),
DilatedNet (fyu/dilation), SegNet and SegNet-Basic (alexgkendall/SegNet-Tutorial), DeconvNet (HyeonwooNoh/DeconvNet); and the
DeepLabv1 and DeconvNet that tutorials print in PyTorch.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from deeplab_core.nn.models.vgg import STAGES
from deeplab_core.records import Preprocessing
from deeplab_core.weights.families.base import CAFFE, IMAGENET, Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import Rule
from deeplab_core.weights.reading import Checkpoint

#: Batch norm in the released prototxts is a scale and a shift per channel: the statistics are folded into them.
_FOLDED = r".*\.(running_mean|running_var)"


def _bgr(blue: float, green: float, red: float) -> Preprocessing:
    return replace(CAFFE, mean=(blue, green, red), pad_value=(blue, green, red))


def _trunk(suffix: str = "") -> Rule:
    """``stages.0.1.conv`` is ``conv1_2``."""
    return (r"stages\.(\d)\.(\d)\.conv\.(\w+)", lambda m: f"conv{int(m[1]) + 1}_{int(m[2]) + 1}{suffix}.{m[3]}")


class CaffeFCN(Family):
    """``conv1_1`` .. ``score_fr``, ``score_pool4``, ``upscore2`` ..."""

    name = "fcn"
    title = "FCN over VGG-16 (shelhamer, wkentaro)"
    landmarks = (r"conv1_1\.weight", r"fc6\.weight", r"score_fr\.weight", r"upscore(2|8|16)?\.weight")

    def describe(self, shapes: Shapes) -> Variant:
        """FCN-32s, 16s or 8s by the skips that are there."""
        classes = rows(shapes, "score_fr.weight")
        variant = "8s" if "score_pool3.weight" in shapes else "16s" if "score_pool4.weight" in shapes else "32s"
        final = {"8s": "upscore8", "16s": "upscore16", "32s": "upscore"}[variant]
        names = {"fr": "upscore2", "pool4": "upscore_pool4", "final": final}
        rules: list[Rule] = [
            _trunk(),
            (r"(fc\d)\.conv\.(\w+)", r"\1.\2"),
            (r"(score_fr)\.(\w+)", r"\1.\2"),
            (r"score_pools\.(\w+)\.(\w+)", r"score_\1.\2"),
            (r"upscores\.(\w+)\.weight", lambda m: f"{names[m[1]]}.weight"),
        ]
        return Variant(
            architecture={"name": "fcn", "backbone": "vgg16", "num_classes": classes, "variant": variant},
            rules=KeyRules(*rules),
            title=f"FCN-{variant} VGG-16",
            catalog="voc21" if classes == 21 else None,
            preprocessing=_bgr(104.00699, 116.66877, 122.67892),
            output_stride=32,
            source="https://github.com/shelhamer/fcn.berkeleyvision.org, https://github.com/wkentaro/pytorch-fcn",
            licence="BVLC models: unrestricted; wkentaro/pytorch-fcn: MIT",
        )

    def refine(self, variant: Variant, checkpoint: Checkpoint) -> Variant:
        """The at-once form has the same tensors; training checkpoints and file names tell."""
        names = f"{checkpoint.extras.get('arch', '')} {checkpoint.path.name}".lower().replace("-", "").replace("_", "")
        if "atonce" not in names or variant.architecture["variant"] != "8s":
            return variant
        return replace(variant, architecture={**variant.architecture, "variant": "8s_at_once"}, title="FCN-8s at once VGG-16")


class LargeFOVRelease(Family):
    """``conv1_1`` .. ``fc8*`` (the authors'), or ``features.N``, ``classifier.N`` (CoinCheung)."""

    name = "large_fov"
    title = "DeepLab-LargeFOV (DeepLab-Context, CoinCheung)"
    landmarks = (
        r"conv1_1\.weight|features\.0\.weight",
        r"conv5_3\.weight|features\.28\.weight",
        r"fc7\.weight|classifier\.3\.weight",
        r"fc8\w*\.weight|classifier\.6\.weight",
    )

    def score(self, shapes: Shapes) -> float:
        """The last classifier decides: torchvision's VGG has linear layers of the same names."""
        last = [shape for key, shape in shapes.items() if re.fullmatch(self.landmarks[3], key)]
        return super().score(shapes) if any(len(shape) == 4 for shape in last) else 0.0

    def describe(self, shapes: Shapes) -> Variant:
        """The authors' network, or the port with its rounding down and RGB input."""
        port = "features.0.weight" in shapes
        classifier = "classifier.6"
        if not port:
            classifier = next((key for key in shapes if re.fullmatch(r"fc8\w*\.weight", key)), "fc8.weight").removesuffix(
                ".weight"
            )
        classes = rows(shapes, f"{classifier}.weight")
        numbers = _torchvision_vgg()
        trunk = _trunk()
        if port:
            trunk = (trunk[0], lambda m: f"features.{numbers[int(m[1]), int(m[2])]}.{m[3]}")
        hidden = {"fc6": "classifier.1", "fc7": "classifier.3"} if port else {"fc6": "fc6", "fc7": "fc7"}
        fc6 = shapes[f"{hidden['fc6']}.weight"]
        options: dict[str, Any] = {
            "pool_ceil": not port,
            "kernel": fc6[-1],
            "channels": fc6[0],
            "rate": 12 if fc6[-1] == 3 else 4,
        }
        rules: list[Rule] = [
            trunk,
            (r"(fc\d)\.conv\.(\w+)", lambda m: f"{hidden[m[1]]}.{m[2]}"),
            (r"classifier\.(\w+)", rf"{classifier}.\1"),
        ]
        return Variant(
            architecture={"name": "deeplabv1", "backbone": "vgg16", "num_classes": classes, **options},
            rules=KeyRules(*rules),
            title="DeepLab-LargeFOV VGG-16",
            catalog="voc21" if classes == 21 else None,
            preprocessing=IMAGENET if port else CAFFE,
            output_stride=8,
            source="https://github.com/CoinCheung/Deeplab-Large-FOV" if port else "https://bitbucket.org/deeplab/deeplab-public",
            licence="Apache-2.0 (code)" if port else "as the DeepLab authors state",
        )


def _torchvision_vgg() -> dict[tuple[int, int], int]:
    """Number of a convolution in torchvision's ``features``: a ReLU behind each, a pooling behind each stage."""
    numbers, place = {}, 0
    for stage, (_, count) in enumerate(STAGES):
        for index in range(count):
            numbers[stage, index] = place
            place += 2
        place += 1
    return numbers


#: Layers of the context module behind their prefix.
_CONTEXT = {
    7: ("conv1_1", "conv1_2", "conv2_1", "conv3_1", "conv4_1", "conv5_1", "fc1"),
    6: ("conv1_1", "conv1_2", "conv2_1", "conv3_1", "conv4_1", "fc1"),
    9: ("conv1_1", "conv1_2", "conv2_1", "conv3_1", "conv4_1", "conv5_1", "conv6_1", "conv7_1", "fc1"),
}
_RATES = {7: [1, 1, 2, 4, 8, 16, 1], 6: [1, 1, 2, 4, 8, 1], 9: [1, 1, 2, 4, 8, 16, 32, 64, 1]}
_DILATION_MEANS = {21: (102.93, 111.36, 116.52), 11: (110.70, 108.78, 105.41), 19: (72.39, 82.91, 73.16)}


class DilationRelease(Family):
    """``conv1_1`` .. ``final`` or ``fc-final``, then ``ctx_*`` (basic) or ``ct_*`` (large)."""

    name = "dilation"
    title = "DilatedNet (fyu/dilation)"
    landmarks = (r"conv1_1\.weight", r"fc7\.weight", r"(fc-)?final\.weight", r"ctx?_(conv1_1|final)\.weight")

    def describe(self, shapes: Shapes) -> Variant:
        """Front end, context module and its depth."""
        front = "fc-final" if "fc-final.weight" in shapes else "final"
        classes = rows(shapes, f"{front}.weight")
        prefix = "ct_" if "ct_final.weight" in shapes else "ctx_"
        depth = sum(re.fullmatch(rf"{prefix}(conv\d_\d|fc1)\.weight", key) is not None for key in shapes)
        options: dict[str, Any] = {"context": None}
        names: tuple[str, ...] = ()
        if depth:
            names = _CONTEXT[depth]
            large = shapes[f"{prefix}conv1_1.weight"][0] > classes
            options = {
                "context": "large" if large else "basic",
                "rates": _RATES[depth],
                "upsampling": "ctx_upsample.weight" in shapes,
            }
        rules: list[Rule] = [
            _trunk(),
            (r"(fc\d)\.conv\.(\w+)", r"\1.\2"),
            (r"front\.(\w+)", rf"{front}.\1"),
            (r"context\.(\d)\.conv\.(\w+)", lambda m: f"{prefix}{names[int(m[1])]}.{m[2]}"),
            (r"classifier\.(\w+)", rf"{prefix}final.\1"),
            (r"upsampling\.weight", "ctx_upsample.weight"),
        ]
        return Variant(
            architecture={"name": "dilatednet", "backbone": "vgg16", "num_classes": classes, **options},
            rules=KeyRules(*rules),
            title=f"DilatedNet{depth + 1 if depth else ' front end'} ({options['context'] or 'none'})",
            catalog={21: "voc21", 19: "cityscapes19", 11: "camvid11"}.get(classes),
            preprocessing=_bgr(*_DILATION_MEANS.get(classes, (104.008, 116.669, 122.675))),
            output_stride=8,
            source="https://github.com/fyu/dilation",
            licence="MIT (code)",
        )


class SegNetRelease(Family):
    """``conv1_1`` .. ``conv1_1_D`` with ``_bn`` scales and shifts; SegNet-Basic: ``conv1``, ``conv_decode4`` ..."""

    name = "segnet"
    title = "SegNet (alexgkendall/SegNet-Tutorial)"
    landmarks = (
        r"conv1(_1)?\.weight",
        r"conv1(_1)?_bn\.weight",
        r"conv(5_3_D|_decode4)\.weight",
        r"conv(1_1_D|_classifier)\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """SegNet or SegNet-Basic."""
        basic = "conv_classifier.weight" in shapes
        classifier = "conv_classifier" if basic else "conv1_1_D"
        classes = rows(shapes, f"{classifier}.weight")

        def encoder(match: re.Match[str]) -> str:
            name = f"conv{int(match[1]) + 1}" + ("" if basic else f"_{int(match[2]) + 1}")
            return f"{name}{'_bn' if match[3] == 'norm' else ''}.{match[4]}"

        def decoder(match: re.Match[str]) -> str:
            # Decoder stages are numbered from the coarsest, their layers downwards.
            stage, index = int(match[1]), int(match[2])
            name = f"conv_decode{4 - stage}" if basic else f"conv{5 - stage}_{STAGES[4 - stage][1] - index}_D"
            return f"{name}{'_bn' if match[3] == 'norm' else ''}.{match[4]}"

        rules: list[Rule] = [
            (r"encoder\.(\d)\.(\d)\.(conv|norm)\.(\w+)", encoder),
            (r"decoder\.(\d)\.(\d)\.(conv|norm)\.(\w+)", decoder),
            (r"classifier\.(\w+)", rf"{classifier}.\1"),
        ]
        return Variant(
            architecture={"name": "segnet", "backbone": "basic" if basic else "vgg16", "num_classes": classes},
            rules=KeyRules(*rules),
            optional=_FOLDED,
            title="SegNet-Basic" if basic else "SegNet VGG-16",
            catalog={11: "camvid11", 21: "voc21"}.get(classes),
            preprocessing=replace(_bgr(0.0, 0.0, 0.0), resize="long_side:480"),
            output_stride=1,
            source="https://github.com/alexgkendall/SegNet-Tutorial",
            licence="CC BY-NC 4.0 (model zoo)",
            summary="Raw BGR input without a mean, trained at 480 x 360",
        )


class DeconvNetRelease(Family):
    """``conv1_1``, ``bn1_1`` .. ``deconv1_2``, ``seg-score-voc``."""

    name = "deconvnet"
    title = "DeconvNet (HyeonwooNoh)"
    landmarks = (r"conv1_1\.weight", r"bn1_1\.weight", r"fc6-deconv\.weight", r"deconv1_2\.weight", r"seg-score.*\.weight")

    def describe(self, shapes: Shapes) -> Variant:
        """The one form there is."""
        classifier = next((key for key in shapes if re.fullmatch(r"seg-score.*\.weight", key)), "seg-score-voc.weight")
        classes = rows(shapes, classifier)

        def encoder(match: re.Match[str]) -> str:
            return f"{match[3].replace('norm', 'bn')}{int(match[1]) + 1}_{int(match[2]) + 1}.{match[4]}"

        def decoder(match: re.Match[str]) -> str:
            kind = "deconv" if match[3] == "conv" else "debn"
            return f"{kind}{5 - int(match[1])}_{int(match[2]) + 1}.{match[4]}"

        rules: list[Rule] = [
            (r"encoder\.(\d)\.(\d)\.(conv|norm)\.(\w+)", encoder),
            (r"decoder\.(\d)\.(\d)\.(conv|norm)\.(\w+)", decoder),
            (r"(fc[67])\.conv\.(\w+)", r"\1.\2"),
            (r"(fc[67])\.norm\.(\w+)", r"bn\1.\2"),
            (r"fc6_deconv\.conv\.(\w+)", r"fc6-deconv.\1"),
            (r"fc6_deconv\.norm\.(\w+)", r"fc6-deconv-bn.\1"),
            (r"classifier\.(\w+)", rf"{classifier.removesuffix('.weight')}.\1"),
        ]
        return Variant(
            architecture={"name": "deconvnet", "backbone": "vgg16", "num_classes": classes},
            rules=KeyRules(*rules),
            optional=_FOLDED,
            title="DeconvNet",
            catalog="voc21" if classes == 21 else None,
            preprocessing=replace(CAFFE, resize="long_side:224", padding="canvas:224"),
            output_stride=1,
            source="https://github.com/HyeonwooNoh/DeconvNet",
            licence="POSTECH: research use only",
            summary="Made for 224 px windows around object proposals; whole images are scaled to one window here",
        )


class DeconvNetListing(Family):
    """``conv1_1.0`` (convolution) and ``conv1_1.1`` (norm) .. ``fc6_deconv.0`` .. ``deconv1_2.1``, ``score_fr``."""

    name = "deconvnet_listing"
    title = "DeconvNet (PyTorch listing)"
    landmarks = (
        r"conv1_1\.0\.weight",
        r"conv5_3\.1\.running_mean",
        r"fc6_deconv\.0\.weight",
        r"deconv1_2\.1\.running_mean",
        r"score_fr\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """The one form of it; the number of channels of fc6 may differ."""
        classes = rows(shapes, "score_fr.weight")
        part = {"conv": "0", "norm": "1"}
        rules: list[Rule] = [
            (
                r"encoder\.(\d)\.(\d)\.(conv|norm)\.(\w+)",
                lambda m: f"conv{int(m[1]) + 1}_{int(m[2]) + 1}.{part[m[3]]}.{m[4]}",
            ),
            (
                r"decoder\.(\d)\.(\d)\.(conv|norm)\.(\w+)",
                lambda m: f"deconv{5 - int(m[1])}_{int(m[2]) + 1}.{part[m[3]]}.{m[4]}",
            ),
            (r"(fc\d(?:_deconv)?)\.(conv|norm)\.(\w+)", lambda m: f"{m[1]}.{part[m[2]]}.{m[3]}"),
            (r"classifier\.(\w+)", r"score_fr.\1"),
        ]
        return Variant(
            architecture={
                "name": "deconvnet", "backbone": "vgg16", "num_classes": classes, "hidden": rows(shapes, "fc6.0.weight"),
            },
            rules=KeyRules(*rules),
            title="DeconvNet (PyTorch)",
            catalog={21: "voc21", 11: "camvid11"}.get(classes),
            preprocessing=replace(IMAGENET, resize="long_side:224", padding="canvas:224"),
            output_stride=1,
            source="a PyTorch listing of arXiv 1505.04366",
            licence="as its trainer states",
            summary="Made for 224 px windows around object proposals; whole images are scaled to one window here",
        )  # fmt: skip


class LargeFOVListing(Family):
    """``backbone.features1.0.0`` .. ``backbone.features5.2.0``, ``classifier.classifier.0.0``, ``.2.0``, ``.4``."""

    name = "large_fov_listing"
    title = "DeepLab-LargeFOV (PyTorch listing)"
    landmarks = (
        r"backbone\.features1\.0\.0\.weight",
        r"backbone\.features5\.2\.0\.weight",
        r"classifier\.classifier\.0\.0\.weight",
        r"classifier\.classifier\.4\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """Pooling rounds down, fc7 is padded by one, and the scores are resized to 8 times the features' size."""
        head = "classifier.classifier"
        classes = rows(shapes, f"{head}.4.weight")
        fc6 = shapes[f"{head}.0.0.weight"]
        place = {"6": "0.0", "7": "2.0"}
        rules: list[Rule] = [
            (r"stages\.(\d)\.(\d)\.conv\.(\w+)", lambda m: f"backbone.features{int(m[1]) + 1}.{m[2]}.0.{m[3]}"),
            (r"fc(\d)\.conv\.(\w+)", lambda m: f"{head}.{place[m[1]]}.{m[2]}"),
            (r"classifier\.(\w+)", rf"{head}.4.\1"),
        ]
        options: dict[str, Any] = {
            "kernel": fc6[-1],
            "channels": fc6[0],
            "rate": 12 if fc6[-1] == 3 else 4,
            "pool_ceil": False,
            "fc7_padded": True,
            "align_corners": False,
            "native_output": "features",
        }
        return Variant(
            architecture={"name": "deeplabv1", "backbone": "vgg16", "num_classes": classes, **options},
            rules=KeyRules(*rules),
            title="DeepLab-LargeFOV VGG-16 (PyTorch)",
            catalog={21: "voc21", 11: "camvid11"}.get(classes),
            preprocessing=IMAGENET,
            output_stride=8,
            source="a PyTorch listing of arXiv 1412.7062",
            licence="as its trainer states",
        )
