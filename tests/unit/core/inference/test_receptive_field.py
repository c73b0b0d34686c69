"""What a pixel's label depends on, counted and differentiated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import Cancelled, ComputeError
from deeplab_core.inference import Predictor
from deeplab_core.inference.receptive_field import branch_radii, receptive_field
from deeplab_core.nn import create_model
from deeplab_core.receptive import centred_radius, mass_level
from deeplab_core.records import ModelCard, Preprocessing

CATALOG = ClassCatalog("five", "Five", tuple(ClassInfo(i, f"class {i}", (i, 2 * i, 3 * i)) for i in range(5)))


def predictor(preprocessing: Preprocessing | None = None, name: str = "deeplabv3", **options: object) -> Predictor:
    torch.manual_seed(0)
    given = {"backbone": "mobilenet_v2", "output_stride": 16, "separable": True, "aspp_channels": 16, **options}
    model = create_model(name, num_classes=5, **given).eval()
    card = ModelCard(
        id="m", name="m", architecture={}, catalog=CATALOG, align_corners=model.align_corners, output_stride=model.output_stride,
        preprocessing=preprocessing or Preprocessing(),
    )  # fmt: skip
    return Predictor(model, card, device="cpu")


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def support(field) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(field.gradient)
    left, top = field.extent[:2]
    return left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1


@pytest.mark.parametrize("align_corners", [True, False])
def test_the_gradient_fills_the_box_that_the_layers_allow_and_nothing_beyond(align_corners):
    made = predictor(image_pooling=False, atrous_rates=(1,), align_corners=align_corners)
    x, y, rgb = 30, 300, picture(321, 353)
    field = receptive_field(made, rgb, x, y, largest=2000)
    box, found = field.theoretical[0].extent, support(field)
    assert field.gradient.shape == (321, 353)
    assert found == (max(box[0], 0), max(box[1], 0), min(box[2], 353), min(box[3], 321))
    assert box[2] < 353
    assert box[1] > 0
    assert box[0] <= x < box[2]
    assert box[1] <= y < box[3]


def test_it_is_the_derivative_of_the_score():
    made = predictor(image_pooling=False, atrous_rates=(1,))
    rgb = picture(97, 97)
    field = receptive_field(made, rgb, 40, 50)
    assert field.gradient.sum() == pytest.approx(1, abs=1e-4)
    # A finite difference at the strongest pixel against one at a weak one, through the Predictor's own forward pass.
    strong = np.unravel_index(field.gradient.argmax(), field.gradient.shape)
    weak = np.unravel_index(np.argsort(field.gradient, axis=None)[5], field.gradient.shape)
    moved = []
    for place in (strong, weak):
        changed = rgb.copy()
        changed[place] = np.where(changed[place] < 128, 255, 0)
        before, after = (
            torch.nn.functional.interpolate(
                made.model.coarse_logits(_normal(pixels)), (97, 97), mode="bilinear", align_corners=True
            )[0, :, 50, 40]
            for pixels in (rgb, changed)
        )
        moved.append(float((before - after).abs().max().detach()))
    assert moved[0] > moved[1]


def _normal(rgb: np.ndarray) -> torch.Tensor:
    pre = Preprocessing()
    x = (torch.from_numpy(rgb).float() - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    return x.permute(2, 0, 1)[None]


def test_the_class_is_the_predicted_one():
    made = predictor()
    rgb = picture(120, 160)
    labels = made(rgb).labels
    for x, y in ((0, 0), (159, 119), (80, 60)):
        assert receptive_field(made, rgb, x, y).class_id == labels[y, x]


def test_fields_of_a_resized_image_are_told_in_its_own_pixels():
    made = predictor(Preprocessing(resize="long_side:160"), image_pooling=False)
    field = receptive_field(made, picture(160, 640), 300, 100)
    assert field.gradient.shape == (40, 160)
    assert field.extent == (0, 0, 640, 160)
    extent = field.theoretical[0].extent
    assert extent.width / 4 == pytest.approx(2 * field.theoretical[0].radius + 1, abs=17)
    assert extent.left < 300 < extent.right
    assert extent.top < 100 < extent.bottom


def test_a_large_image_is_computed_around_the_pixel_and_says_so():
    made = predictor()
    field = receptive_field(made, picture(130, 500), 400, 20, largest=161)
    assert max(field.gradient.shape) <= 161
    assert field.extent.left <= 400 < field.extent.right
    assert "window" in field.note
    assert "mean over the image" in field.note
    assert receptive_field(made, picture(65, 65), 3, 3).note == ""


def test_branches_differ_by_rate_and_stride():
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=5, output_stride=16)
    branches = branch_radii(model)
    assert [name for name, _ in branches] == ["1×1", "rate 6", "rate 12", "rate 18"]
    radii = [radius for _, radius in branches]
    assert np.diff(radii).tolist() == [96, 96, 96]
    assert radii[-1] == model.receptive_radius()
    model.output_stride = 8
    assert [name for name, _ in branch_radii(model)] == ["1×1", "rate 12", "rate 24", "rate 36"]
    assert branch_radii(create_model("unet", num_classes=3)) == ()
    narrow = create_model("deeplabv3", backbone="mobilenet_v2", num_classes=5, atrous_rates=())
    assert branch_radii(narrow) == (("1×1", narrow.receptive_radius()),)


def test_a_branch_alone_has_the_radius_that_is_told():
    wide, narrow = (
        create_model("deeplabv3", backbone="mobilenet_v2", num_classes=5, atrous_rates=rates) for rates in ((6, 18), (6,))
    )
    assert dict(branch_radii(wide))["rate 6"] == narrow.receptive_radius()


def test_cancel_is_heard_in_both_passes():
    made = predictor()
    calls = []

    def count() -> bool:
        calls.append(1)
        return False

    receptive_field(made, picture(65, 65), 3, 3, cancel=count)
    for stop in (1, len(calls) // 2, len(calls) - 2):
        left = [stop]

        def cancel(left=left) -> bool:
            left[0] -= 1
            return left[0] < 0

        with pytest.raises(Cancelled):
            receptive_field(made, picture(65, 65), 3, 3, cancel=cancel)
    assert receptive_field(made, picture(65, 65), 3, 3).gradient.any()


def test_memory_that_runs_out_is_answered_by_a_smaller_window(monkeypatch):
    made = predictor()
    sides = []
    real = made.model.coarse_logits

    def tight(x, pooled=None):
        sides.append(x.shape[-1])
        if x.shape[-1] > 200 and not x.is_meta:
            raise MemoryError
        return real(x, pooled)

    monkeypatch.setattr(made.model, "coarse_logits", tight)
    field = receptive_field(made, picture(64, 400), 200, 20)
    assert 400 in sides
    assert sides[-1] <= 200
    assert field.gradient.any()


def test_a_pixel_outside_is_refused():
    with pytest.raises(ComputeError, match="outside"):
        receptive_field(predictor(), picture(65, 65), 65, 3)


def test_levels_and_radii_of_a_known_map():
    density = np.zeros((9, 9), np.float32)
    density[4, 4], density[4, 5], density[0, 0] = 0.6, 0.3, 0.1
    assert mass_level(density, 0.5) == pytest.approx(0.6)
    assert mass_level(density, 0.9) == pytest.approx(0.3)
    assert mass_level(density, 0.95) == pytest.approx(0.1)
    assert mass_level(np.zeros((3, 3), np.float32), 0.5) == float("inf")
    assert [centred_radius(density, 4, 4, share) for share in (0.5, 0.9, 0.95)] == [0, 1, 4]
    assert centred_radius(np.zeros((3, 3), np.float32), 1, 1, 0.5) == 0
