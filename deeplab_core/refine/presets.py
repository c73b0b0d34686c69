"""Published CRF parameters, by the names that menus and the command line show.

Weights belong to a normalisation: the authors' library divides by the kernel's mass after filtering (``after``), pydensecrf's
default is symmetric. A preset carries the one that its numbers were found with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deeplab_core.errors import AtrousError, message
from deeplab_core.records import CRFParams


@dataclass(frozen=True, slots=True)
class Preset:
    """Parameters and where they come from.

    Attributes:
        name: what a command line takes.
        title: what a menu shows.
        params: the parameters.
        source: who found them, for which network.
    """

    name: str
    title: str
    params: CRFParams
    source: str


def _authors(w1: float, sxy: float, srgb: float) -> CRFParams:
    return CRFParams(
        gaussian_sxy=3, gaussian_compat=3, bilateral_sxy=sxy, bilateral_srgb=srgb, bilateral_compat=w1, normalization="after"
    )


_AUTHORS = "authors' evaluation scripts (SetupEnv.m), PASCAL VOC 2012"
_ALL = (
    Preset("v1", "DeepLab v1", _authors(5, 50, 10), f"DeepLab, VGG-16: {_AUTHORS}"),
    Preset("v1-msc", "DeepLab v1, multi-scale", _authors(3, 95, 3), f"DeepLab-MSc, VGG-16: {_AUTHORS}"),
    Preset("v1-coco", "DeepLab v1, COCO", _authors(5, 67, 3), f"DeepLab-COCO, VGG-16: {_AUTHORS}"),
    Preset(
        "v2",
        "DeepLab v2",
        CRFParams(gaussian_sxy=1, gaussian_compat=3, bilateral_sxy=67, bilateral_srgb=3, bilateral_compat=4),
        "DeepLab v2, ResNet-101, as re-run with pydensecrf by kazuto1011/deeplab-pytorch (configs/voc12.yaml): 76.65 -> 77.93",
    ),
    Preset(
        "readme",
        "pydensecrf example",
        CRFParams(gaussian_sxy=3, gaussian_compat=3, bilateral_sxy=80, bilateral_srgb=13, bilateral_compat=10, iterations=5),
        "the example of pydensecrf's README: no network in particular",
    ),
)

#: Presets by name, in the order of menus.
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})


def preset(name: str) -> CRFParams:
    """Parameters of a preset.

    Raises:
        AtrousError: no such preset; lists the names.
    """
    try:
        return PRESETS[name].params
    except KeyError:
        raise AtrousError(
            message("no CRF preset '{name}'", name=name), remedy=message("Choose one of {presets}", presets=", ".join(PRESETS))
        ) from None
