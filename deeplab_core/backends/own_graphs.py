"""Networks of ours without torch: a graph of each architecture that is shipped, run by ONNX Runtime with the weights of a file.

A graph file is an ONNX model without its weights: operations, and the names and sizes of the tensors that they read. The weights
come from a safetensors file of that architecture and are put behind the graph, as parts of one protocol buffer. So a model is
stored once, and new weights need no new graph. ``tools/graphs.py`` writes the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deeplab_core.backends.onnx_file import bytes_field, number_field, read_onnx_file
from deeplab_core.backends.onnx_session import OnnxSession
from deeplab_core.errors import MissingPackage, WeightsError, message
from deeplab_core.flavour import require_torch
from deeplab_core.networks import ComputeDevice, Engine, GraphNetwork
from deeplab_core.reading import parse_json
from deeplab_core.records import ModelCard

#: Where the graphs are shipped, and their ending.
GRAPHS = Path(__file__).parent / "graphs"
SUFFIX = ".graph"
#: Key of a graph's facts in its metadata; names of its inputs and outputs.
FACTS = "atrous_graph"
IMAGE, POOLED, GIVEN, LOGITS, FEATURES = "image", "pooled", "given", "logits", "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """What a graph file says of itself.

    Attributes:
        output_stride: of this graph.
        output_strides: those that the network has.
        align_corners, in_channels, minimum_side: see :class:`~deeplab_core.networks.Network`.
        radius: of the receptive field, px.
        pools: it takes the pooled context of a whole image, and gives the features to make one of.
        tensors: sizes of the tensors that it reads, by name.
    """

    output_stride: int
    output_strides: tuple[int, ...]
    align_corners: bool
    in_channels: int
    minimum_side: int
    radius: int
    pools: bool
    tensors: Mapping[str, tuple[int, ...]]

    @classmethod
    def from_text(cls, text: str) -> GraphFacts:
        """From the metadata of a file that this program ships."""
        data = parse_json(text, what="the facts of a graph")
        tensors = {str(name): tuple(sizes) for name, sizes in data.pop("tensors").items()}
        return cls(**{**data, "output_strides": tuple(data["output_strides"])}, tensors=tensors)


def graph_key(architecture: Mapping[str, Any]) -> str:
    """The part of a graph file's name that tells architectures apart; the stride has its own."""
    plain = {name: value for name, value in architecture.items() if name != "output_stride"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
    return f"{plain.get('name', 'network')}-{plain.get('backbone', 'own')}-{digest}"


def graph_file(architecture: Mapping[str, Any], output_stride: int) -> Path:
    """Where the graph of an architecture at a stride is, or would be."""
    return GRAPHS / f"{graph_key(architecture)}-os{output_stride}{SUFFIX}"


@cache
def _facts(path: Path) -> GraphFacts:
    return GraphFacts.from_text(read_onnx_file(path).metadata[FACTS])


class OwnGraph(GraphNetwork):
    """A network of ours, run by ONNX Runtime; every stride has a graph, and tiles share the image's pooled context.

    Args:
        graphs: its files by stride.
        architecture: of the card.
        weights: every tensor that the graphs read, float32.
        path: of the weights; errors name it.
    """

    def __init__(
        self, graphs: Mapping[int, Path], architecture: Mapping[str, Any], weights: Mapping[str, NDArray[np.float32]], path: Path
    ) -> None:
        facts = _facts(next(iter(graphs.values())))
        super().__init__(
            num_classes=int(architecture["num_classes"]), output_stride=facts.output_stride,
            output_strides=tuple(sorted(graphs)), align_corners=facts.align_corners,
        )  # fmt: skip
        self.architecture = dict(architecture)
        self.in_channels, self.minimum_side = facts.in_channels, facts.minimum_side
        self._graphs, self._weights, self._path = dict(graphs), weights, path
        self._device = ComputeDevice("cpu")
        self._sessions: dict[int, OnnxSession] = {}

    @property
    def _session(self) -> OnnxSession:
        stride = self.output_stride
        if stride not in self._sessions:
            content = self._graphs[stride].read_bytes() + with_weights(self._weights, _facts(self._graphs[stride]).tensors)
            self._sessions[stride] = OnnxSession(self._path, content, self._device)
        return self._sessions[stride]

    @property
    def engine(self) -> Engine:
        """ONNX Runtime, in float32."""
        session = self._session
        return Engine(name=session.title, device=session.device, shares_context=_facts(self._graphs[self.output_stride]).pools)

    @property
    def weight_bytes(self) -> int:
        """Of its tensors, once for each stride in use."""
        return sum(values.nbytes for values in self._weights.values()) * (1 + len(self._sessions))

    def copy(self) -> OwnGraph:
        """One with a stride of its own."""
        twin = OwnGraph(self._graphs, self.architecture, self._weights, self._path)
        twin.output_stride = self.output_stride
        return twin

    def move(self, device: ComputeDevice) -> None:
        """Compute on a device from now on, as far as the installed ONNX Runtime has it."""
        if device != self._device:
            self._device = device
            self._sessions.clear()

    def coarse_logits(self, x: ArrayLike, pooled: ArrayLike | None = None) -> NDArray[np.float32]:
        """Logits before the final upsampling, see :class:`~deeplab_core.networks.GraphNetwork`."""
        images = np.asarray(x, np.float32)
        return self._run(images, LOGITS, pooled)

    def pooled_context(self, x: ArrayLike, region: tuple[int, int, int, int] | None = None) -> NDArray[np.float32] | None:
        """Mean of the encoder's features over a region of ``x``, (N, C, 1, 1); None if the network pools nothing."""
        features = self.features(x)
        if features is None:
            return None
        if region is not None:
            top, left, bottom, right = (-(-edge // self.output_stride) for edge in region)
            features = features[..., top:bottom, left:right]
        found: NDArray[np.float32] = features.mean((2, 3), keepdims=True)
        return found

    def features(self, x: ArrayLike) -> NDArray[np.float32] | None:
        """(N, C, h, w) output of the encoder; None if the network pools nothing, whose graph has no such output."""
        if not _facts(self._graphs[self.output_stride]).pools:
            return None
        return self._run(np.asarray(x, np.float32), FEATURES, None)

    def _run(self, images: NDArray[np.float32], output: str, pooled: ArrayLike | None) -> NDArray[np.float32]:
        session = self._session
        feeds: dict[str, NDArray[np.float32]] = {IMAGE: images}
        for spec in session.inputs:
            if spec.name == POOLED:
                channels = spec.shape[1] or 1
                empty = np.zeros((len(images), channels, 1, 1), np.float32)
                feeds[POOLED] = empty if pooled is None else np.asarray(pooled, np.float32)
                feeds[GIVEN] = np.array([0.0 if pooled is None else 1.0], np.float32)
        remedy = message("Choose a larger size of the image (resize), or install PyTorch")
        found: NDArray[np.float32] = session.run(feeds, [output], remedy=remedy)[0]
        return found

    def receptive_radius(self) -> int:
        """As its layers have it, recorded when the graph was written."""
        return _facts(self._graphs[self.output_stride]).radius


def load_own_graph(card: ModelCard, weights: Mapping[str, NDArray[np.float32]], path: Path) -> OwnGraph:
    """The network of a card with its weights, without torch.

    Args:
        card: the one inside the weights' file.
        weights: its tensors.
        path: of the file.

    Raises:
        MissingPackage: no graph of this architecture is shipped, so only torch can run it.
        WeightsError: the tensors do not fit the graph; ONNX Runtime is missing.
    """
    graphs = {stride: graph_file(card.architecture, stride) for stride in card.output_strides}
    graphs = {stride: file for stride, file in graphs.items() if file.is_file()}
    if card.output_stride not in graphs:
        require_torch(message("This network"))
        raise MissingPackage(message("this network comes without a graph"), remedy=message("Open it with PyTorch"), path=path)
    needed = _facts(graphs[card.output_stride]).tensors
    wrong = [name for name, sizes in needed.items() if name not in weights or weights[name].shape != sizes]
    more = [name for name in weights if name not in needed]
    if wrong or more:
        raise WeightsError(
            message("the weights do not fit the network of their card"),
            why=message(
                "{count} tensors are missing or of another size: {tensors}", count=len(wrong), tensors=", ".join(wrong[:4])
            )
            if wrong
            else message("{count} tensors are left over: {tensors}", count=len(more), tensors=", ".join(more[:4])),
            remedy=message("Check that the checkpoint is complete and of this architecture"),
            path=path,
        )
    model = OwnGraph(graphs, card.architecture, weights, path)
    model.output_stride = card.output_stride
    return model


def with_weights(weights: Mapping[str, NDArray[np.float32]], names: Mapping[str, tuple[int, ...]]) -> bytes:
    """Bytes that, put behind a graph's own, are its weights.

    A protocol buffer's messages may come in parts, which a reader joins: this is a model whose graph has initializers
    (``TensorProto``: sizes, type 1 for float, name, little-endian bytes) and nothing else.
    """
    tensors = bytearray()
    for name in names:
        values = weights[name]
        fields = b"".join(number_field(1, side) for side in values.shape) + number_field(2, 1)
        tensors += bytes_field(5, fields + bytes_field(8, name.encode()) + bytes_field(9, values.astype("<f4").tobytes()))
    return bytes_field(7, bytes(tensors))
