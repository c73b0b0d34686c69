"""Click networks: graphs of every known signature answer as computed by hand, and wrong ones are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from deeplab_core.backends import find_partner, load_click_model
from deeplab_core.backends.click_models import OnnxGraph
from deeplab_core.backends.signature import TensorSpec
from deeplab_core.correction import Corrector
from deeplab_core.correction.clicks import ClickNetwork, EncoderDecoder, click_engine
from deeplab_core.correction.clicks.offers import check_clicks, offers
from deeplab_core.errors import Cancelled, ComputeError, UnsafeCheckpoint, WeightsError
from tests.unit.core.backends.click_graphs import Builder, decoder, disk, encoder, ritm
from tests.unit.core.correction.scenes import CATALOG

SMALL, PHOTO = (96, 128), (480, 640)
SAM2 = (("high_res_feats_0", (32, 256, 256)), ("high_res_feats_1", (64, 128, 128)), ("image_embed", (256, 64, 64)))
HUGGING = (("image_embeddings", (256, 64, 64)), ("image_positional_embeddings", (256, 64, 64)))
SAM_MEAN = (123.675, 116.28, 103.53)


def photo(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def ask(
    model: Any, size: tuple[int, int], *clicks: tuple[float, float, bool], box: Any = None, previous: Any = None
) -> list[Any]:
    points = np.array([click[:2] for click in clicks], np.float64).reshape(-1, 2)
    signs = np.array([click[2] for click in clicks], bool)
    nothing = np.zeros(size, bool) if previous is None else previous
    return list(model.masks(photo(size), points, signs, box, nothing))


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


# -- RITM, FocalClick, SimpleClick ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signature",
    [
        {},
        {"channels": 3, "separate_mask": True},
        {"channels": 3},
        {"size_input": True, "room": 48},
        {"normalised": False},
        {"kind": TensorProto.FLOAT16},
    ],
    ids=["4 channels", "own mask input", "no mask", "size", "normalised outside", "fp16"],
)
def test_a_network_of_one_graph_finds_the_disk_around_its_clicks(signature: dict[str, Any], tmp_path: Path) -> None:
    model = load_click_model(ritm(tmp_path / "clicks.onnx", **signature))
    masks = ask(model, SMALL, (40.5, 50.5, True))
    assert np.array_equal(masks[0], disk(SMALL, [(40, 50)]))
    assert masks[1].sum() < masks[0].sum() < masks[2].sum(), "then a tighter and a looser outline"
    both = ask(model, SMALL, (40.5, 50.5, True), (52.5, 50.5, False))[0]
    assert np.array_equal(both, disk(SMALL, [(40, 50)]) & ~disk(SMALL, [(52, 50)], 12.001))
    assert bool(model.notes) == (signature.get("normalised") is False)


def test_a_graph_of_one_size_sees_the_image_stretched(tmp_path: Path) -> None:
    model = load_click_model(ritm(tmp_path / "clicks.onnx", size=(448, 448), radius=56))
    y, x = np.mgrid[: SMALL[0], : SMALL[1]]
    expected = ((x - 40) / 16) ** 2 + ((y - 50) / 12) ** 2 < 1
    assert overlap(ask(model, SMALL, (40.5, 50.5, True))[0], expected) > 0.95


def test_a_box_is_a_crop_with_a_click_in_its_centre(tmp_path: Path) -> None:
    model = load_click_model(ritm(tmp_path / "clicks.onnx"))
    mask = ask(model, SMALL, box=(30, 40, 51, 61))[0]
    expected = np.zeros(SMALL, bool)
    expected[40:61, 30:51] = True
    assert np.array_equal(mask, disk(SMALL, [(40, 50)]) & expected)


class Seen:
    """A graph in Python that records what it is given."""

    title = "python"

    def __init__(self, inputs: Sequence[tuple[str, tuple[int | None, ...], Any]], answer: Callable[..., NDArray[Any]]) -> None:
        self.path = Path("seen.onnx")
        self.inputs = [TensorSpec(name=name, shape=shape, dtype=np.dtype(kind)) for name, shape, kind in inputs]
        self.outputs = [TensorSpec(name="instances", shape=(1, 1, None, None), dtype=np.dtype(np.float32))]
        self.feeds: list[dict[str, NDArray[Any]]] = []
        self.answer = answer

    def holds(self, values: Sequence[float]) -> bool:
        return values[0] < 1

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str], **rest: Any) -> list[NDArray[Any]]:
        self.feeds.append(dict(feeds))
        return [self.answer(**feeds)]


def disk_logits(image: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    size = image.shape[2:]
    half = points[0, : points.shape[1] // 2]
    shown = [(x, y) for y, x, order in half if order >= 0]
    return np.where(disk(size, shown, 20), 9.0, -9.0).astype(np.float32)[None, None] if shown else np.full((1, 1, *size), -9.0)


RITM_INPUTS = [("image", (1, 4, None, None), np.float32), ("points", (1, None, 3), np.float32)]


def test_later_clicks_zoom_in_on_the_object_and_continue_from_the_mask_so_far() -> None:
    graph = Seen(RITM_INPUTS, disk_logits)
    model = ClickNetwork(graph)
    size = (1200, 1600)
    ask(model, size, (800.5, 600.5, True))
    assert graph.feeds[0]["image"].shape == (1, 4, 608, 800), "sides are multiples of 32, the longest at most 800"
    assert graph.feeds[0]["points"].tolist() == [
        [[pytest.approx(303.75, abs=0.1), pytest.approx(399.75, abs=0.1), 0], [-1, -1, -1]]
    ]
    assert not graph.feeds[0]["image"][0, 3].any()
    assert len(graph.feeds) == 2, "and the close surroundings of the click"
    assert graph.feeds[1]["image"].shape == (1, 4, 384, 384), "160 px, enlarged to about 400"
    assert graph.feeds[1]["points"][0, 0].tolist() == [pytest.approx(192.7, abs=0.1), pytest.approx(192.7, abs=0.1), 0]
    ask(model, size, (800.5, 600.5, True), (700.5, 600.5, False), (810.5, 600.5, True))
    assert len(graph.feeds) == 4, "the first click is not computed again"
    image, points = graph.feeds[3]["image"], graph.feeds[3]["points"]
    assert image.shape == (1, 4, 384, 384), "200 px around the object, enlarged to about 400"
    assert points.shape == (1, 4, 3)
    assert points[0, :, 2].tolist() == [0, 2, -1, -1], "in their order; the one outside of the part is left out"
    assert 0.4 < image[0, 3, 180:200, 180:200].mean() <= 1, "the object so far"
    assert image[0, 3, :20].max() < 0.01


def test_the_first_click_on_an_object_sees_its_surroundings_and_its_mask() -> None:
    graph = Seen(RITM_INPUTS, disk_logits)
    previous = disk((1200, 1600), [(300, 300)], 40) | disk((1200, 1600), [(1500, 1100)], 40)
    mask = ask(ClickNetwork(graph), (1200, 1600), (300, 300, False), previous=previous)[0]
    assert graph.feeds[0]["image"].shape == (1, 4, 384, 384)
    assert graph.feeds[0]["image"][0, 3, 180:200, 180:200].min() == 1
    assert mask[1100, 1500], "what the network did not see stays"
    assert not mask[300, 300]


def test_a_first_click_is_also_answered_from_close_by() -> None:
    """A disk of 20 of the network's px is 20 px on the whole image and 8 in the close look; both are candidates."""
    graph = Seen(RITM_INPUTS, disk_logits)
    masks = ask(ClickNetwork(graph), (600, 800), (400, 300, True))
    widths = sorted({int(mask[300].sum()) for mask in masks})
    assert widths[0] == pytest.approx(2 * 20 * 160 / 384, abs=3)
    assert widths[-1] == pytest.approx(2 * 20, abs=4)
    graph.feeds.clear()
    ask(ClickNetwork(graph), (200, 220), (100, 100, True))
    assert len(graph.feeds) == 1, "a small image is seen closely anyway"


def test_colours_are_as_the_graph_takes_them() -> None:
    graph = Seen(RITM_INPUTS, disk_logits)
    ask(ClickNetwork(graph), SMALL, (1, 1, True))
    assert 0 <= graph.feeds[0]["image"][0, :3].min() < 0.1 < 0.9 < graph.feeds[0]["image"][0, :3].max() <= 1
    outside = Seen(RITM_INPUTS, disk_logits)
    outside.holds = lambda values: False  # type: ignore[method-assign]
    ask(ClickNetwork(outside), SMALL, (1, 1, True))
    assert outside.feeds[0]["image"][0, :3].min() < -1.5


def test_an_answer_that_is_no_mask_is_named() -> None:
    graph = Seen(RITM_INPUTS, lambda **_: np.full((1, 1, 2, 2), np.nan))
    with pytest.raises(ComputeError, match="not a mask") as caught:
        ask(ClickNetwork(graph), SMALL, (1, 1, True))
    assert caught.value.path == graph.path


# -- SAM and its relatives -----------------------------------------------------------------------------------------------

Pair = Callable[[Path], list[Path]]

PAIRS: dict[str, Pair] = {
    "SAM 1": lambda at: [encoder(at / "sam.encoder.onnx"), decoder(at / "sam.decoder.onnx")],
    "SAM 1, one mask size": lambda at: [
        encoder(at / "sam.encoder.onnx"), decoder(at / "sam.decoder.onnx", outputs=("masks", "iou_predictions")),
    ],
    "MobileSAM, bytes": lambda at: [
        encoder(at / "mobile_sam.encoder.onnx", shape=("image_height", "image_width", 3), constants=SAM_MEAN),
        decoder(at / "mobile_sam.decoder.onnx"),
    ],
    "EdgeSAM": lambda at: [
        encoder(at / "edge_sam_encoder.onnx", name="image"),
        decoder(at / "edge_sam_decoder.onnx", mask_input=False, size_input=None, outputs=("masks", "scores")),
    ],
    "SAM 2": lambda at: [
        encoder(at / "sam2.encoder.onnx", SAM2, name="image"),
        decoder(at / "sam2.decoder.onnx", (SAM2[2], *SAM2[:2]), size_input=None, outputs=("masks", "iou_predictions")),
    ],
    "SAM 2, other names": lambda at: [
        encoder(at / "tiny_preprocess.onnx", [(f"out{n}", shape) for n, (_, shape) in enumerate(SAM2)], name="input"),
        decoder(at / "tiny.onnx", (("image_embeddings", SAM2[2][1]), ("high_res_features1", SAM2[0][1]),
                                   ("high_res_features2", SAM2[1][1])), size_input=TensorProto.INT64),
    ],
    "Hugging Face": lambda at: [
        encoder(at / "vision_encoder.onnx", HUGGING, name="pixel_values"),
        decoder(at / "prompt_encoder_mask_decoder.onnx", HUGGING[::-1], points="input_points", mask_input=False, size_input=None,
                outputs=("pred_masks", "iou_scores"), label_kind=TensorProto.INT64),
    ],
}  # fmt: skip


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, list[Path]]:
    return request.param, PAIRS[request.param](tmp_path)


def around(size: tuple[int, int], at: tuple[float, float], radius: float, stretched: bool) -> NDArray[np.bool_]:
    """A disk of the encoder's px, in the image's."""
    across, down = (1024 / size[1], 1024 / size[0]) if stretched else (1024 / max(size),) * 2
    y, x = np.mgrid[: size[0], : size[1]]
    found: NDArray[np.bool_] = ((x - at[0]) * across) ** 2 + ((y - at[1]) * down) ** 2 < radius**2
    return found


@pytest.mark.parametrize("size", [PHOTO, (640, 480), (60, 50)], ids=["landscape", "portrait", "small"])
def test_a_pair_finds_the_disk_around_a_click_best_first(pair: tuple[str, list[Path]], size: tuple[int, int]) -> None:
    name, files = pair
    model = load_click_model(files)
    at = size[1] // 3, size[0] // 2
    masks = ask(model, size, (at[0] + 0.5, at[1] + 0.5, True))
    expected = [around(size, at, radius, name.startswith("SAM 2")) for radius in (60, 30, 15)]
    # A coarse grid has a point every four px of the encoder.
    assert [overlap(mask, other) > 0.8 for mask, other in zip(masks, expected, strict=True)] == [True] * 3
    assert overlap(masks[0], expected[0]) > 0.93


def test_a_box_and_clicks_of_a_pair(pair: tuple[str, list[Path]]) -> None:
    name, files = pair
    model = load_click_model(files[0])
    expected = np.zeros(PHOTO, bool)
    expected[100:200, 300:450] = True
    if name == "Hugging Face":  # no box: a click in its centre, within it
        expected &= around(PHOTO, (375, 150), 60, stretched=False)
        assert overlap(ask(model, PHOTO, box=(300, 100, 450, 200))[0], expected) > 0.93
        return
    assert overlap(ask(model, PHOTO, box=(300, 100, 450, 200))[0], expected) > 0.95
    less = ask(model, PHOTO, (330.5, 150.5, False), box=(300, 100, 450, 200))[0]
    if "mask" not in [tensor.name.split("_")[0] for tensor in model._decoder.inputs]:
        assert overlap(less, expected & ~around(PHOTO, (330, 150), 30, name.startswith("SAM 2"))) > 0.93


def test_negative_clicks_alone_take_the_object_under_them_from_the_class(pair: tuple[str, list[Path]]) -> None:
    name, files = pair
    whole = np.ones(PHOTO, bool)
    mask = ask(load_click_model(files), PHOTO, (200.5, 200.5, False), previous=whole)[0]
    assert overlap(~mask, around(PHOTO, (200, 200), 60, name.startswith("SAM 2"))) > 0.93


class Counted:
    """A graph that counts its runs."""

    def __init__(self, path: Path) -> None:
        self._graph = OnnxGraph(path)
        self.path, self.title, self.inputs, self.outputs = path, "counted", self._graph.inputs, self._graph.outputs
        self.holds = self._graph.holds
        self.feeds: list[dict[str, NDArray[Any]]] = []

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str], **rest: Any) -> list[NDArray[Any]]:
        self.feeds.append(dict(feeds))
        return self._graph.run(feeds, outputs, **rest)


def test_features_are_computed_once_and_the_mask_so_far_is_an_input(tmp_path: Path) -> None:
    first, second = (Counted(path) for path in PAIRS["SAM 1"](tmp_path))
    model = EncoderDecoder(first, second)
    rgb, other = photo(PHOTO), photo((90, 90))
    model.prepare(rgb)
    nothing = np.zeros(PHOTO, bool)

    def click(*clicks: tuple[float, float], previous: NDArray[np.bool_] = nothing) -> None:
        model.masks(rgb, np.array(clicks), np.ones(len(clicks), bool), None, previous)

    click((200, 100))
    click((200, 100), (300, 100))
    model.prepare(other)
    click((200, 100), (300, 100), (300, 200))
    assert len(first.feeds) == 2
    assert len(second.feeds) == 3
    assert [int(feeds["has_mask_input"][0]) for feeds in second.feeds] == [0, 1, 1]
    assert second.feeds[0]["point_labels"].tolist() == [[1, -1]], "SAM learned with a point that is none"
    model.masks(rgb, np.zeros((0, 2)), np.zeros(0, bool), (10, 10, 50, 60), nothing)
    assert second.feeds[3]["point_labels"].tolist() == [[2, 3]]
    click((200, 100), previous=around(PHOTO, (200, 100), 100, False) | around(PHOTO, (500, 400), 100, False))
    given = second.feeds[4]["mask_input"][0, 0]
    assert int(second.feeds[4]["has_mask_input"][0]) == 1
    assert given.max() == 10
    assert given.min() == -10
    assert (given[100 * 1024 // 640 // 4, 200 * 1024 // 640 // 4], given[400 * 1024 // 640 // 4, 500 * 1024 // 640 // 4]) == (
        10,
        -10,
    ), "the component under the click, and no other"


def test_an_efficient_sam_pair_takes_the_image_as_it_is_and_six_points(tmp_path: Path) -> None:
    first = Counted(
        encoder(
            tmp_path / "e_encoder.onnx", name="batched_images", shape=(1, 3, "height", "width"), constants=(0.485, 0.456, 0.406)
        )
    )
    second = Counted(
        decoder(
            tmp_path / "e_decoder.onnx", points="batched_point_coords", mask_input=False, size_input=TensorProto.INT64,
            outputs=("output_masks", "iou_predictions"), radii=(20.0, 40.0),
            scores=(0.2, 0.7),
        )
    )  # fmt: skip
    model = click_engine([first, second])
    masks = ask(model, SMALL, (40.5, 50.5, True))
    large, small = masks
    assert np.array_equal(large, disk(SMALL, [(40, 50)], 40))
    assert np.array_equal(small, disk(SMALL, [(40, 50)], 20))
    assert first.feeds[0]["batched_images"].shape == (1, 3, *SMALL)
    assert first.feeds[0]["batched_images"].max() <= 1
    ask(model, SMALL, *[(float(n), 3.0, n != 1) for n in range(8)], box=(3, 4, 60, 70))
    labels = second.feeds[-1]["batched_point_labels"][0, 0].tolist()
    assert labels == [2, 3, 1, 1, 1, 1], "of more than six points the newest, and the box"
    assert second.feeds[-1]["orig_im_size"].tolist() == list(SMALL)


def test_one_graph_may_be_encoder_and_decoder(tmp_path: Path) -> None:
    path = decoder(
        tmp_path / "efficient_sam.onnx", [("batched_images", (3, "h", "w"))], points="batched_point_coords",  # type: ignore[list-item]
        mask_input=False, size_input=None, outputs=("output_masks", "iou_predictions"), side=128,
        low=128, radii=(20.0,), scores=(0.2,),
    )  # fmt: skip
    assert np.array_equal(ask(load_click_model(path), (128, 128), (40.5, 50.5, True))[0], disk((128, 128), [(40, 50)], 20))


def concept_pair(folder: Path, *, raw: bool) -> list[Path]:
    """SAM 3: a mask over the left and one over the right half of the image, wherever the examples are."""
    b = Builder()
    levels = (("0", 288), ("1", 144), ("2", 72))
    outputs = [(f"{kind}_{level}", (256, side, side)) for kind in ("vision_pos_enc", "backbone_fpn") for level, side in levels]
    small = [(name, (2, 4, 4)) for name, _ in outputs]
    first = encoder(folder / "sam3_image_encoder.onnx", small, name="image", shape=(3, 1008, 1008), kind=TensorProto.UINT8)
    halves = np.zeros((2, 1, 8, 8), np.float32)
    halves[0, :, :, :4], halves[1, :, :, 4:] = 1, 1
    count = b("ReduceSum", b("Cast", b("Not", "box_masks"), to=TensorProto.FLOAT), keepdims=0)
    text = b("ReduceSum", b("Cast", "language_mask", to=TensorProto.FLOAT), keepdims=0)
    zero = b("Mul", b("Add", b("ReduceMean", small[0][0], keepdims=0), b("Add", count, text)), b.constant(0.0))
    scores = b("Add", b.constant([0.9, 0.8]), zero)
    if raw:
        b.named(b("Add", b.constant(halves.reshape(1, 2, 8, 8) * 2 - 1), zero), "pred_masks")
        b.named(b("Reshape", scores, b.constant([1, 2, 1], np.int64)), "pred_logits")
    else:
        b.named(b("Cast", b.constant(halves), to=TensorProto.BOOL), "masks")
        b.named(scores, "scores")
    inputs: list[Any] = [(name, TensorProto.FLOAT, [1, *shape]) for name, shape in small]
    inputs += [(f"original_{side}", TensorProto.INT64, []) for side in ("height", "width")]
    inputs += [("language_mask", TensorProto.BOOL, [1, 32]), ("language_features", TensorProto.FLOAT, [32, 1, 256])]
    inputs += [
        ("box_coords", TensorProto.FLOAT, [4, 1, 4]),
        ("box_labels", TensorProto.INT64, [4, 1]),
        ("box_masks", TensorProto.BOOL, [1, 4]),
    ]
    given = (
        [("pred_masks", TensorProto.FLOAT, [1, 2, 8, 8]), ("pred_logits", TensorProto.FLOAT, [1, 2, 1])]
        if raw
        else [("masks", TensorProto.BOOL, [2, 1, 8, 8]), ("scores", TensorProto.FLOAT, [2])]
    )
    return [first, b.write(folder / "sam3_decoder.onnx", inputs, given)]


@pytest.mark.parametrize("raw", [True, False])
def test_a_sam_3_pair_offers_the_objects_under_the_clicks_without_text(tmp_path: Path, raw: bool) -> None:
    model = load_click_model(concept_pair(tmp_path, raw=raw))
    left, right = np.zeros(PHOTO, bool), np.zeros(PHOTO, bool)
    left[:, :320], right[:, 320:] = True, True
    assert [overlap(mask, right) > 0.95 for mask in ask(model, PHOTO, (500, 100, True))] == [True]
    assert [overlap(mask, left) > 0.95 for mask in ask(model, PHOTO, box=(10, 10, 100, 100))] == []
    assert [overlap(mask, left) > 0.95 for mask in ask(model, PHOTO, box=(0, 0, 330, 480))] == [True]
    assert overlap(ask(model, PHOTO, (500, 100, False), previous=left | right)[0], left) > 0.95


# -- files that belong together, and wrong ones --------------------------------------------------------------------------


def test_of_a_pair_one_file_is_enough(pair: tuple[str, list[Path]]) -> None:
    _, (first, second) = pair
    assert find_partner(first) == second
    assert find_partner(second) == first
    assert load_click_model(second).title == load_click_model([second, first]).title


def test_several_partners_are_named(tmp_path: Path) -> None:
    first = encoder(tmp_path / "sam.encoder.onnx")
    decoder(tmp_path / "sam.decoder.onnx")
    decoder(tmp_path / "sam_decoder.onnx")
    with pytest.raises(WeightsError, match="several") as caught:
        load_click_model(first)
    assert "sam_decoder.onnx" in caught.value.why


def plain(path: Path) -> Path:
    b = Builder()
    b.named("x", "y")
    return b.write(path, [("x", TensorProto.FLOAT, [1, 7])], [("y", TensorProto.FLOAT, [1, 7])])


def refinement(path: Path) -> Path:
    """FocalClick's ``refine`` as a graph: https://github.com/alibaba/ClickSEG, isegm/model/is_hrnet_model.py."""
    b = Builder()
    b.named("full_logits", "instances_refined")
    inputs = [("cropped_image", [1, 3, 256, 256]), ("cropped_points", [1, "points", 3]), ("full_feature", [1, 96, 64, 64]),
              ("full_logits", [1, 1, 256, 256]), ("bboxes", [1, 5])]  # fmt: skip
    return b.write(
        path, [(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [("instances_refined", TensorProto.FLOAT, [1, 1, 256, 256])],
    )  # fmt: skip


WRONG: dict[str, tuple[Callable[[Path], list[Path]], str]] = {
    "a decoder alone": (lambda at: [decoder(at / "d.onnx")], "encoder is missing"),
    "an encoder alone": (lambda at: [encoder(at / "e.onnx")], "decoder is missing"),
    "neither": (lambda at: [plain(at / "p.onnx")], "not a network for clicks"),
    "two decoders": (lambda at: [decoder(at / "a.onnx"), decoder(at / "b.onnx")], "not a network for clicks"),
    "a network and more": (lambda at: [ritm(at / "a.onnx"), encoder(at / "b.onnx")], "not a network for clicks"),
    "FocalClick's second stage": (lambda at: [refinement(at / "r.onnx")], "second stage of FocalClick"),
    "odd points": (lambda at: [ritm(at / "a.onnx", room=7)], "two equal halves"),
    "the mask twice": (lambda at: [ritm(at / "a.onnx", separate_mask=True)], "twice"),
    "features that do not fit": (
        lambda at: [encoder(at / "e.onnx", [("image_embeddings", (256, 32, 32))]), decoder(at / "d.onnx")], "does not fit",
    ),
    "features of another name and shape": (
        lambda at: [encoder(at / "e.onnx", SAM2), decoder(at / "d.onnx", [("other", (8, 9, 9))])], "none of what e.onnx gives",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_graphs_are_named(case: str, tmp_path: Path) -> None:
    make, said = WRONG[case]
    files = make(tmp_path)
    with pytest.raises(WeightsError) as caught:
        load_click_model(files)
    assert said in f"{caught.value.what} {caught.value.why}"
    assert caught.value.path in files
    assert caught.value.remedy


def test_an_encoder_is_no_model_to_predict_with(tmp_path: Path) -> None:
    from deeplab_core.weights import load_model

    path = encoder(tmp_path / "sam.encoder.onnx")
    with pytest.raises(WeightsError, match="features of an image") as caught:
        load_model(path)
    assert caught.value.path == path


def test_what_is_taken_away_goes_to_the_nearest_class_far_away_too() -> None:
    from deeplab_core.correction.components import given_to_nearest
    from deeplab_core.geometry import Box

    labels = np.full((120, 150), 3, np.uint8)
    labels[:, :2], labels[:2] = 7, 0
    mask = np.ones(labels.shape, bool)
    mask[40:90, 50:120] = False
    one = Corrector(photo((120, 150)), labels, catalog=CATALOG)
    (found,) = one.merge_clicks([mask], [(80, 60)], [False], 3)
    expected = given_to_nearest(labels, Box.whole(labels.shape), ~mask, labels == 3, 255)
    assert expected is not None
    assert isinstance(found.labels, np.ndarray)
    assert np.array_equal(found.mask, ~mask)
    assert np.array_equal(found.labels[~mask], expected[2][~mask])


def test_files_that_are_no_onnx_or_damaged_are_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"PK\x03\x04" + b"0" * 50)
    with pytest.raises(WeightsError, match="ONNX files") as caught:
        load_click_model(path)
    assert caught.value.path == path
    with pytest.raises(WeightsError, match="cannot be read"):
        load_click_model(tmp_path / "missing.onnx")
    whole = ritm(tmp_path / "clicks.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="truncated or damaged"):
        load_click_model(tmp_path / "cut.onnx")
    with pytest.raises(WeightsError, match="one or two files"):
        load_click_model([path] * 3)


def test_a_graph_that_points_outside_is_not_opened(tmp_path: Path) -> None:
    from tests.unit.core.backends.graphs import write_onnx

    with pytest.raises(UnsafeCheckpoint):
        load_click_model(write_onnx(tmp_path / "g.onnx", external="../weights.bin"))


def test_a_running_graph_stops_when_it_is_cancelled(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["go_on"]), helper.make_node("Add", ["sum", "one"], ["next"])],
        "body",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in
         (("turn", TensorProto.INT64), ("going", TensorProto.BOOL), ("sum", TensorProto.FLOAT))],
        [helper.make_tensor_value_info(name, kind, []) for name, kind in
         (("go_on", TensorProto.BOOL), ("next", TensorProto.FLOAT))],
    )  # fmt: skip
    b = Builder()
    b.tensors.append(helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]))
    turns = b.constant(np.iinfo(np.int64).max, np.int64)
    b.nodes.append(helper.make_node("Loop", [turns, b.constant(True, bool), "x"], ["y"], body=body))
    graph = OnnxGraph(b.write(tmp_path / "loop.onnx", [("x", TensorProto.FLOAT, [])], [("y", TensorProto.FLOAT, [])]))
    asked = iter([False, False])
    with pytest.raises(Cancelled):
        graph.run({"x": np.array(0, np.float32)}, ["y"], remedy="", cancel=lambda: next(asked, True))
    with pytest.raises(Cancelled):
        graph.run({"x": np.array(0, np.float32)}, ["y"], remedy="", cancel=lambda: True)


# -- in the corrector ----------------------------------------------------------------------------------------------------


def corrector(model: Any, labels: NDArray[np.uint8], painted: NDArray[np.bool_] | None = None) -> Corrector:
    provenance = np.zeros(labels.shape, np.uint8)
    if painted is not None:
        provenance[painted] = 3
    return Corrector(photo(labels.shape), labels, catalog=CATALOG, click_model=model, provenance=provenance)  # type: ignore[arg-type]


def test_only_the_regions_with_a_click_change_and_painted_pixels_stay(tmp_path: Path) -> None:
    model = load_click_model(ritm(tmp_path / "clicks.onnx"))
    labels = np.zeros(SMALL, np.uint8)
    island = disk(SMALL, [(110, 80)], 9)
    labels[island] = 3
    painted = np.zeros(SMALL, bool)
    painted[45:48] = True
    before = corrector(model, labels, painted)
    found = before.click([(40.5, 50.5)], [True], 3)
    assert found is not None
    assert np.array_equal(found[0].mask, disk(SMALL, [(40, 50)]) & ~painted)
    before.apply(found[0])
    assert (before.labels[island] == 3).all(), "a right component far from the click stays, though the network left it out"
    assert (before.labels[painted] == 0).all()
    taken = before.click([(110.5, 80.5)], [False], 3)
    assert taken is not None
    before.apply(taken[0])
    assert not before.labels[island].any(), "a negative click takes away, to the nearest other class"
    assert (before.labels == 3).sum() == (disk(SMALL, [(40, 50)]) & ~painted).sum()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_whatever_a_network_says_only_regions_with_a_click_change(seed: int) -> None:
    """Progressive merge (arXiv 2204.02574) over random labels and masks: of each region of the difference, all or nothing."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (6, 8), dtype=np.uint8)
    labels = np.kron(coarse, np.ones((8, 8), np.uint8))
    mask = np.kron(rng.random((12, 16)) < 0.5, np.ones((4, 4), np.bool_))
    painted = np.kron(rng.random((12, 16)) < 0.1, np.ones((4, 4), np.bool_))
    count = int(rng.integers(1, 4))
    points = rng.uniform(0, (64, 48), (count, 2))
    signs = rng.random(count) < 0.6
    clicks = check_clicks(points, signs.tolist(), None, labels.shape)
    own = labels == 1
    touched = np.zeros(labels.shape, np.bool_)
    touched[clicks.pixels[:, 1], clicks.pixels[:, 0]] = True
    for proposal in offers([mask], clicks, 1, labels, painted, 255):
        after = np.where(proposal.mask, proposal.labels, labels)
        assert np.array_equal(after[painted], labels[painted])
        assert not ((after == 1) & ~own & ~mask).any(), "nothing outside of the network's mask is gained"
        assert not ((after != 1) & own & mask).any(), "nothing inside of it is lost"
        if not signs.any():
            assert not ((after == 1) & ~own).any(), "a negative click never adds"
        if signs.all():
            assert np.array_equal(after[own], labels[own]), "a positive click never removes"
        changed = after != labels
        _, regions = cv2.connectedComponents((own & ~mask).astype(np.uint8), connectivity=8)
        for number in range(1, int(regions.max()) + 1):
            region = regions == number
            if (changed & region).any():
                assert (touched & region).any(), "a region without a click was taken away"
                assert changed[region & ~painted].all(), "a region was taken in part"


def test_a_box_needs_no_click_and_nonsense_is_named(tmp_path: Path) -> None:
    model = load_click_model(PAIRS["SAM 1"](tmp_path))
    one = corrector(model, np.zeros(PHOTO, np.uint8))
    found = one.click(np.zeros((0, 2)), [], 3, box=(300, 100, 450, 200))
    assert found is not None
    expected = np.zeros(PHOTO, bool)
    expected[100:200, 300:450] = True
    assert overlap(found[0].mask, expected) > 0.95
    from deeplab_core.errors import AtrousError

    for box in ((5, 5, 5, 9), (-9, 0, 0, 9), (np.nan, 0, 9, 9)):
        with pytest.raises(AtrousError, match="no pixel"):
            one.click([], [], 3, box=box)
    with pytest.raises(AtrousError, match="at least one point"):
        one.click([], [], 3)
