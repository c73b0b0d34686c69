"""Which networks are compared, and the made-up values of their variables. numpy only: both sides of the comparison use it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Plan:
    """One network: trunk, classes, stride and what its head has.

    Attributes:
        pyramid: "aspp", "aspp0" (1x1 and image pooling only), "cell" (dense prediction cell) or "none".
    """

    trunk: str
    classes: int = 21
    stride: int = 16
    pyramid: str = "aspp"
    decoder: bool = True
    separable: bool = True
    width: float = 1.0


PLANS = {
    "mnv2_os16": Plan("mobilenet_v2", pyramid="aspp0", decoder=False),
    "mnv2_os8": Plan("mobilenet_v2", stride=8, pyramid="aspp0", decoder=False),
    "mnv2_dm05_os16": Plan("mobilenet_v2", pyramid="aspp0", decoder=False, width=0.5),
    "mnv2_cityscapes": Plan("mobilenet_v2", classes=19, pyramid="aspp0", decoder=False),
    "mnv2_aspp_decoder": Plan("mobilenet_v2"),
    "mnv2_plain_convs": Plan("mobilenet_v2", separable=False),
    "mnv2_no_pyramid": Plan("mobilenet_v2", pyramid="none", decoder=False),
    "xception_41_os16": Plan("xception_41"),
    "xception_65_os16": Plan("xception_65"),
    "xception_65_os8": Plan("xception_65", stride=8),
    "xception_65_ade20k": Plan("xception_65", classes=151),
    "xception_65_cityscapes": Plan("xception_65", classes=19),
    "xception_71_os16": Plan("xception_71"),
    "xception_71_cell_os16": Plan("xception_71", classes=19, pyramid="cell"),
    "xception_71_cell_os8": Plan("xception_71", classes=19, stride=8, pyramid="cell"),
}

#: Height and width of the made-up image by output stride; a multiple of the stride and one, as the releases' crops are.
SIZES = {16: (65, 81), 8: (49, 65)}


def image(plan: Plan) -> NDArray[np.uint8]:
    """(1, H, W, 3) noise."""
    return np.random.default_rng(7).integers(0, 256, (1, *SIZES[plan.stride], 3), dtype=np.uint8)


def value(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Reproducible values that keep activations of deep networks in range; TensorFlow's order of axes."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    leaf = name.rpartition("/")[2]
    if leaf == "depthwise_weights":
        out = rng.normal(0, np.sqrt(1.5 / (shape[0] * shape[1])), shape)
    elif leaf == "weights":
        out = rng.normal(0, np.sqrt(1.5 / np.prod(shape[:3])), shape)
    elif leaf in ("gamma", "moving_variance"):
        out = rng.uniform(0.6, 1.4, shape)
    else:
        out = rng.normal(0, 0.2, shape)
    return out.astype(np.float32)
