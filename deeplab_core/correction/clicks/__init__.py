"""Click networks: graphs that users bring, recognised by their inputs and outputs. numpy and OpenCV; who runs a graph is behind
:class:`Graph` (:func:`deeplab_core.backends.load_click_model` does, with ONNX Runtime).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from deeplab_core.correction.clicks.concepts import ConceptPair, is_concept_decoder
from deeplab_core.correction.clicks.graphs import ClickEngine, Graph, shapes, unfit
from deeplab_core.correction.clicks.merging import gained, lost
from deeplab_core.correction.clicks.network import ClickNetwork, is_points
from deeplab_core.correction.clicks.pairs import EncoderDecoder, is_coords, is_image
from deeplab_core.errors import WeightsError, message

#: What a graph can be: a whole network, or half of one.
Role = Literal["network", "decoder", "encoder", "other"]


def role_of(graph: Graph) -> Role:
    """What a graph is, by its inputs. Any network that takes one image may be an encoder."""
    if any(is_points(tensor) for tensor in graph.inputs):
        return "network"
    if is_concept_decoder(graph):
        return "decoder"
    if any(is_coords(tensor) for tensor in graph.inputs):
        return "network" if any(is_image(tensor) for tensor in graph.inputs) else "decoder"
    return "encoder" if len(graph.inputs) == 1 and is_image(graph.inputs[0]) else "other"


def click_engine(graphs: Sequence[Graph]) -> ClickEngine:
    """The click network that one graph is, or an encoder and a decoder in either order.

    Raises:
        WeightsError: not one of the known signatures; which file, and what it takes and gives.
    """
    roles = [role_of(graph) for graph in graphs]
    if len(graphs) == 1 and roles[0] == "network":
        if any(is_points(tensor) for tensor in graphs[0].inputs):
            return ClickNetwork(graphs[0])
        return EncoderDecoder(None, graphs[0])
    if sorted(roles) == ["decoder", "encoder"]:
        encoder, decoder = graphs[roles.index("encoder")], graphs[roles.index("decoder")]
        return ConceptPair(encoder, decoder) if is_concept_decoder(decoder) else EncoderDecoder(encoder, decoder)
    if len(graphs) == 1 and roles[0] == "decoder":
        raise WeightsError(
            message("this is the decoder of a click network; its encoder is missing"),
            remedy=message("Put the encoder's .onnx file beside it, or choose both files"),
            path=graphs[0].path,
        )
    if len(graphs) == 1 and roles[0] == "encoder":
        raise WeightsError(
            message("this network takes an image and no clicks; if it is an encoder, its decoder is missing"),
            remedy=message("Put the decoder's .onnx file beside it, or choose both files"),
            path=graphs[0].path,
        )
    strange = next((graph for graph, role in zip(graphs, roles, strict=True) if role in ("other", "network")), graphs[-1])
    if len(graphs) == 1:
        raise unfit(strange, message("It takes {inputs}", inputs=shapes(strange.inputs)))
    raise unfit(
        strange,
        message("A pair is an encoder, which takes an image, and a decoder, which takes points; it takes {inputs}",
                inputs=shapes(strange.inputs)),
    )  # fmt: skip


__all__ = [
    "ClickEngine",
    "ClickNetwork",
    "ConceptPair",
    "EncoderDecoder",
    "Graph",
    "Role",
    "click_engine",
    "gained",
    "lost",
    "role_of",
]
