"""What a window imports before its first frame stays light."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = (
    "deeplab_core.catalogs",
    "deeplab_core.labels",
    "deeplab_core.datasets.find",
    "deeplab_core.images.probe",
    "deeplab_core.atomic",
    "deeplab_core.reading",
    "deeplab_core.datasets.ground_truth",
    "deeplab_core.masks.output_marker",
    "deeplab_core.masks.read",
    "deeplab_core.masks.export",
)
HEAVY = ("cv2", "tifffile", "pycocotools", "yaml", "torch")


def test_listing_and_planning_load_no_decoder() -> None:
    code = f"import sys; [__import__(name) for name in {LIGHT!r}]; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["images", "masks", "datasets"])
def test_every_public_name_can_be_had(name: str) -> None:
    package = f"deeplab_core.{name}"
    module = __import__(package, fromlist=["__all__"])
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing
