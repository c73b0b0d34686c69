"""A small real checkpoint and a photograph, for tests of the compute process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

#: A quarter of the channels, and a narrow head: a tenth of the work, and of the file.
THIN = {"backbone_options": {"width": 0.25}, "aspp_channels": 16, "decoder_channels": 16}


def save_tiny_model(
    path: Path, *, seed: int = 0, sure_of: int | None = None, name: str = "Tiny", summary: str = "", slow: bool = False
) -> Path:
    """DeepLabv3+ over MobileNetV2 with five classes, random weights; ``sure_of`` one class everywhere where one is named.

    A ``slow`` one has all channels, so that a test can disturb it while it runs.
    """
    import torch

    from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
    from deeplab_core.nn import create_model
    from deeplab_core.records import ModelCard
    from deeplab_core.weights import save_model

    torch.manual_seed(seed)
    model = create_model(
        "deeplabv3plus", backbone="mobilenet_v2", num_classes=5, output_stride=16, **({} if slow else THIN)
    ).eval()
    if sure_of is not None:
        bias = [values for values in model.parameters() if values.shape == (5,)][-1]
        with torch.no_grad():
            bias[sure_of] += 50
    catalog = ClassCatalog("tiny", "Tiny", tuple(ClassInfo(i, f"class {i}", (i, 2 * i, 3 * i)) for i in range(5)))
    card = ModelCard(
        id="tiny",
        name=name,
        summary=summary,
        architecture=dict(model.architecture),
        catalog=catalog,
        align_corners=model.align_corners,
    )
    save_model(path, model, card)
    return path


def save_one_channel_model(path: Path, *, seed: int = 0, threshold: float | None = None, in_channels: int = 3) -> Path:
    """A U-Net with one channel (sigmoid): background and "square". About half of a photograph's pixels are the object."""
    import torch

    from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
    from deeplab_core.nn import create_model
    from deeplab_core.records import ModelCard
    from deeplab_core.weights import save_model

    torch.manual_seed(seed)
    model = create_model("unet", num_classes=1, width=2, upsampling="bilinear", in_channels=in_channels).eval()
    classifier = model.classifier
    assert isinstance(classifier, torch.nn.Conv2d)
    assert classifier.bias is not None
    with torch.no_grad():
        blobs = torch.randn(4, in_channels, 6, 8)
        logits = model(torch.nn.functional.interpolate(blobs, size=(48, 64), mode="bicubic"))
        classifier.weight.div_(logits.std())
        classifier.bias.sub_(logits.mean()).div_(logits.std())
    classes = (ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "square", (255, 0, 0)))
    card = ModelCard(
        id="one", name="One channel", architecture=dict(model.architecture), threshold=threshold, output_stride=1,
        catalog=ClassCatalog("two", "Two", classes, background=0), align_corners=model.align_corners,
    )  # fmt: skip
    save_model(path, model, card)
    return path


def save_photograph(path: Path, height: int, width: int, seed: int = 0) -> Path:
    """Coloured blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path
