"""TensorFlow's files: what TensorFlow itself wrote is read bit for bit, and whole networks give its logits."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deeplab_core.errors import UnknownCheckpoint, WeightsError
from deeplab_core.weights import list_models, load_model, read_card
from deeplab_core.weights.families import recognise
from deeplab_core.weights.tensorflow.bundle import crc32c, masked, read_bundle
from deeplab_core.weights.tensorflow.graph import read_graph
from deeplab_core.weights.unwrapping import read_checkpoint
from tests.unit.core.weights import tensorflow_writer as writer
from tools.tensorflow_reference.plans import PLANS, image, value

DATA = Path(__file__).resolve().parents[3] / "data" / "tensorflow"
SHAPES: dict[str, dict[str, list[int]]] = json.loads(gzip.decompress((DATA / "variables.json.gz").read_bytes()))


def stored(name: str) -> dict[str, np.ndarray]:
    with np.load(DATA / name) as archive:
        return {key.replace("|", "/"): archive[key] for key in archive.files}


def variables(plan: str) -> dict[str, np.ndarray]:
    return {name: value(name, tuple(shape)) for name, shape in SHAPES[plan].items()}


def test_checksums_are_those_of_the_standard() -> None:
    # RFC 3720, appendix B.4, and the usual check value.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert masked(0) == 0xA282EAD8
    data = np.random.default_rng(0).bytes(70_001)
    for length in (4095, 4096, 4097, 8191, 50_000, 70_001):
        register = 0xFFFFFFFF
        for byte in data[:length]:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
        assert crc32c(data[:length]) == register ^ 0xFFFFFFFF


def test_tensorflows_own_checkpoint_is_read_bit_for_bit() -> None:
    bundle = read_bundle(DATA / "small.ckpt.index")
    written = stored("checkpoint.npz")
    assert set(bundle.beside) == {"global_step", "net/weights/Momentum"}
    assert bundle.tensors.keys() | set(bundle.beside) == written.keys()
    for name, tensor in bundle.tensors.items():
        expected = written[name]
        if name == "net/weights":
            expected = expected.transpose(3, 2, 0, 1)
        elif name == "net/depthwise_weights":
            # Output channel c * multiplier + m of a depthwise convolution reads input channel c (tf.nn.depthwise_conv2d).
            expected = np.stack([expected[:, :, c, m] for c in range(4) for m in range(2)])[:, None]
        assert tensor.shape == expected.shape, name
        assert tensor.numpy().dtype == expected.dtype, name
        assert np.array_equal(tensor.numpy(), expected), name


def test_tensorflows_own_frozen_graph_is_read_with_its_facts() -> None:
    content = read_graph(memoryview((DATA / "small.pb").read_bytes()))
    facts = content.pop("tensorflow")
    written = stored("graph.npz")
    assert content.keys() == written.keys()
    assert np.array_equal(content["b/weights"].numpy(), written["b/weights"].transpose(3, 2, 0, 1))
    assert np.array_equal(content["d/biases"].numpy(), written["d/biases"])
    assert facts["rate"] == {"a_depthwise": (2, 3), "b": (1, 1), "image_pooling": (1, 1)}
    assert facts["stride"] == {"a_depthwise": (1, 1), "b": (2, 2), "image_pooling": (1, 1)}
    assert facts["epsilon"] == {"b/BatchNorm": 1e-3}
    assert facts["pool"] == {"image_pooling": (9, 9)}


@pytest.mark.parametrize(
    "plan", [pytest.param(plan, marks=pytest.mark.slow if plan.startswith("xception") else ()) for plan in SHAPES]
)
def test_networks_give_tensorflows_logits(plan: str, tmp_path: Path) -> None:
    index = writer.checkpoint(tmp_path / "model.ckpt-30000", variables(plan))
    model, card = load_model(index)
    assert card.extra["family"] == "tensorflow"
    pre = card.preprocessing
    x = (image(PLANS[plan]).astype(np.float32) - np.float32(pre.mean)) / np.float32(pre.std)
    with torch.no_grad():
        got = model.native_logits(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()[:, ::4, ::4]
    expected = stored("logits.npz")[plan]
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize(
    ("classes", "catalog", "resize", "padding"),
    [
        (21, "voc21", "long_side:513", "canvas:513"),
        (19, "cityscapes19", "native", "grid:16"),
        (151, "ade20k151", "long_side:513", "canvas:513"),
        (150, "ade20k150", "long_side:513", "canvas:513"),
        (7, "numbered7", "long_side:513", "canvas:513"),
    ],
)
def test_cards_follow_the_number_of_classes(classes: int, catalog: str, resize: str, padding: str, tmp_path: Path) -> None:
    made = variables("mnv2_no_pyramid")
    made["logits/semantic/weights"] = np.zeros((1, 1, 320, classes), np.float32)
    made["logits/semantic/biases"] = np.zeros(classes, np.float32)
    path = tmp_path / "frozen_inference_graph.pb"
    path.write_bytes(writer.graph(made))
    card = read_card(path)
    assert (card.catalog.name, card.preprocessing.resize, card.preprocessing.padding) == (catalog, resize, padding)
    assert card.preprocessing.mean == (127.5,) * 3
    assert card.align_corners
    assert "catalog" in card.guessed
    if classes == 151:
        assert card.catalog.by_id(1).name == "wall"


def graph_with_facts(made: dict[str, np.ndarray], *, epsilon: float, stride: int, crop: tuple[int, int]) -> bytes:
    """A MobileNetV2's constants and the operations that read them, as far as facts are taken from them."""
    nodes = b""
    strided = [f"MobilenetV2/expanded_conv_{n}/depthwise/depthwise_weights" for n in (1, 3, 6, 13)]
    strided = ["MobilenetV2/Conv/weights", *strided][: {8: 3, 16: 4, 32: 5}[stride]]
    for name in made:
        if name.endswith(("/weights", "depthwise_weights")):
            step = 2 if name in strided else 1
            listed = writer.message(3, bytes([1, step, step, 1]))
            op = "DepthwiseConv2dNative" if "depthwise" in name else "Conv2D"
            pooled = "AvgPool2D" if name.startswith("image_pooling") else "x"
            nodes += writer.node(f"{name}/read", "Identity", (name,))
            nodes += writer.node(
                f"{name}/op", op, (pooled, f"{name}/read:0"), writer.attribute("strides", writer.message(1, listed))
            )
        elif name.endswith("/gamma"):
            raw = writer.varint(4 << 3 | 5) + struct.pack("<f", epsilon)
            nodes += writer.node(f"{name}/norm", "FusedBatchNorm", ("x", name), writer.attribute("epsilon", raw))
    sides = [(side - 1) // stride + 1 for side in crop]
    ksize = writer.message(3, b"".join(writer.varint(side) for side in (1, *sides, 1)))
    nodes += writer.node("AvgPool2D", "AvgPool", ("x",), writer.attribute("ksize", writer.message(1, ksize)))
    return writer.graph(made, nodes)


@pytest.mark.parametrize(
    ("stride", "crop", "rules"),
    [(8, (513, 513), ("long_side:513", "canvas:513")), (16, (1025, 2049), ("native", "grid:16"))],
)
def test_a_frozen_graph_tells_stride_epsilon_and_crop(
    stride: int, crop: tuple[int, int], rules: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "net.pb"
    path.write_bytes(graph_with_facts(variables("mnv2_os16"), epsilon=2e-4, stride=stride, crop=crop))
    model, card = load_model(path)
    assert model.output_stride == card.output_stride == stride
    assert "output_stride" not in card.guessed
    assert (card.preprocessing.resize, card.preprocessing.padding) == rules
    norms = [layer.eps for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert norms
    assert all(eps == pytest.approx(2e-4) for eps in norms)


def test_every_name_of_a_release_leads_to_its_weights(tmp_path: Path) -> None:
    made = variables("mnv2_dm05_os16")
    folder = tmp_path / "deeplabv3_mnv2"
    folder.mkdir()
    index = writer.checkpoint(folder / "model.ckpt-30000", made)
    (folder / "model.ckpt-30000.meta").write_bytes(b"\n\0")
    expected = read_card(index)
    for name in ("model.ckpt-30000", "model.ckpt-30000.meta", "model.ckpt-30000.data-00000-of-00001", ""):
        assert read_card(folder / name) == expected
    entries = [entry for entry in list_models([folder]) if entry.card is not None]
    assert [entry.path for entry in entries] == [index]
    (folder / "frozen_inference_graph.pb").write_bytes(writer.graph(made))
    assert read_card(folder).sha256 != expected.sha256
    packed = tmp_path / "deeplabv3_mnv2_pascal_trainval_2018_01_29.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, "deeplabv3_mnv2_pascal_trainval")
    shutil.rmtree(folder)
    model, card = load_model(packed)
    assert card.architecture["backbone_options"]["width"] == 0.5
    assert torch.equal(model.classifier.bias, torch.from_numpy(made["logits/semantic/biases"]))  # type: ignore[union-attr]
    assert not folder.exists()


def test_optimiser_slots_and_counters_are_left_out_and_the_rest_must_fit(tmp_path: Path) -> None:
    made: dict[str, Any] = variables("mnv2_dm05_os16")
    beside = {f"{name}/Momentum": made[name] for name in list(made)[:5]} | {"global_step": np.array(3, np.int64)}
    averages = {f"{name}/ExponentialMovingAverage": made[name] for name in list(made)[5:9]}
    index = writer.checkpoint(tmp_path / "a", made | beside | averages)
    assert len(recognise(read_checkpoint(index)).checkpoint.tensors) == len(made)
    load_model(index)
    lost = dict(made)
    del lost["aspp0/BatchNorm/beta"]
    with pytest.raises(WeightsError, match="aspp0/BatchNorm/beta"):
        load_model(writer.checkpoint(tmp_path / "b", lost))
    with pytest.raises(WeightsError, match="left over: aspp7/weights"):
        load_model(writer.checkpoint(tmp_path / "c", made | {"aspp7/weights": made["aspp0/weights"]}))


def test_an_image_net_checkpoint_says_that_it_has_no_classes(tmp_path: Path) -> None:
    made = {name: content for name, content in variables("mnv2_dm05_os16").items() if name.startswith("MobilenetV2")}
    with pytest.raises(UnknownCheckpoint, match=r"logits/semantic/weights"):
        load_model(writer.checkpoint(tmp_path / "mobilenet_v2_0.5_224.ckpt", made))


def test_nothing_is_written_beside_a_packed_release(tmp_path: Path) -> None:
    packed = tmp_path / "release.tar.gz"
    made = variables("mnv2_dm05_os16")
    content = writer.graph(made)
    with tarfile.open(packed, "w:gz") as archive:
        for name in ("../../escape.txt", "/etc/absolute.txt", "r/frozen_inference_graph.pb"):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    load_model(packed)
    assert [path.name for path in tmp_path.iterdir()] == [packed.name]
