"""The places that other tools import from stay where DESIGN section 7 fixes them."""

from __future__ import annotations

from importlib import import_module

import pytest

PLACES = (
    "deeplab_core.nn.create_model",
    "deeplab_core.weights.load_model",
    "deeplab_core.inference.Predictor",
    "deeplab_core.refine.CRFParams",
    "deeplab_core.refine.DenseCRF",
    "deeplab_core.refine.preset",
    "deeplab_core.correction.Corrector",
    "deeplab_core.catalogs.get_catalog",
    "deeplab_core.errors.AtrousError",
    "deeplab_core.images.read_image",
    "deeplab_core.masks.read_mask",
    "deeplab_core.datasets.find_images",
    "deeplab_core.datasets.scan_folder",
    "deeplab_core.datasets.find_truth",
    "deeplab_core.datasets.guess_catalog",
    "deeplab_core.metrics.ConfusionMatrix",
    "deeplab_core.records.ModelCard",
    "deeplab_core.records.Preprocessing",
    "app.state.project.Project",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_public_place_holds_what_it_promises(place: str) -> None:
    module, _, name = place.rpartition(".")
    import_module(module)
    found = getattr(import_module(module), name)
    assert callable(found), place


def test_no_module_hides_a_function_of_its_package() -> None:
    for place in PLACES:
        module, _, name = place.rpartition(".")
        with pytest.raises(ModuleNotFoundError):
            import_module(f"{module}.{name}")
