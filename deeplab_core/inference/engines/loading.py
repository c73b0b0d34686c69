"""From an ONNX or LiteRT file to a model with its card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from deeplab_core.errors import AtrousError, WeightsError
from deeplab_core.inference.engines.cards import guessed_card
from deeplab_core.inference.engines.litert_runner import LiteRTRunner, looks_like_litert
from deeplab_core.inference.engines.network import EngineModel
from deeplab_core.inference.engines.onnx_file import OnnxFile, looks_like_onnx, read_onnx_file
from deeplab_core.inference.engines.onnx_runner import OnnxRunner
from deeplab_core.inference.engines.signature import Signature, find_signature
from deeplab_core.records import CARD_KEY, ModelCard, card_path
from deeplab_core.weights import cards

#: Endings that people know these files by; what a file is, its content tells.
SUFFIXES = (".onnx", ".tflite")


#: Entry of a card's ``extra``: smallest side of the images that an exported graph takes.
MINIMUM_SIDE = "minimum_side"


@dataclass(frozen=True, slots=True)
class _Graph:
    """An opened file: which engine, how it is run, fed and read."""

    engine: str
    runner: OnnxRunner | LiteRTRunner
    signature: Signature


def engine_of(path: Path) -> str:
    """``"onnx"``, ``"litert"``, or an empty string for a file of neither; told by content."""
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError:
        return ""  # whoever opens it next says why it cannot be read
    return "litert" if looks_like_litert(head) else "onnx" if looks_like_onnx(head) else ""


def load_engine(path: Path, beside: ModelCard | None = None) -> tuple[EngineModel, ModelCard]:
    """A graph as a model, and its card.

    Args:
        path: a file that :func:`engine_of` knows.
        beside: the card beside the file; it wins over the one in an ONNX file's metadata, which wins over every guess.

    Returns:
        The model on the CPU, and its card without digest.

    Raises:
        WeightsError: the engine is not installed, the file is damaged, or no network for semantic segmentation.
        UnsafeCheckpoint: it points at files outside its folder.
    """
    facts = read_onnx_file(path) if engine_of(path) == "onnx" else OnnxFile()
    try:
        graph = _open(path, facts)
    except WeightsError as error:
        raise _at(error, path) from error
    inside = _card_inside(facts, path)
    said = beside or inside
    classes = graph.signature.classes or _hidden_classes(graph) or (len(said.catalog) if said is not None else 0)
    if not classes:
        raise WeightsError(
            "the graph gives labels only, and nothing in it tells how many classes it knows",
            remedy=f"Put a model card with its catalog beside it, as {card_path(path).name}",
            path=path,
        )
    align = graph.runner.align_corners.get(graph.signature.output.name)
    card = guessed_card(path, graph.engine, graph.signature, graph.runner.input, classes, align)
    if said is not None:
        card = replace(
            said, architecture=_architecture(said, graph.engine), output_strides=(said.output_stride,),
            align_corners=said.align_corners if align is None else align,
        )  # fmt: skip
    model = EngineModel(
        graph.runner,
        graph.signature,
        num_classes=classes,
        output_stride=card.output_stride,
        align_corners=card.align_corners,
        architecture=dict(card.architecture),
        minimum_side=_minimum_side(card),
    )
    return model.eval(), card


def read_engine_card(path: Path, beside: ModelCard | None = None) -> ModelCard:
    """The card of a graph, without digest; the engine is not needed where the file or its neighbour holds one.

    Raises:
        WeightsError, UnsafeCheckpoint: as :func:`load_engine`.
    """
    engine = engine_of(path)
    facts = read_onnx_file(path) if engine == "onnx" else OnnxFile()
    said = beside or _card_inside(facts, path)
    if said is None:
        return load_engine(path)[1]
    return replace(said, architecture=_architecture(said, engine), output_strides=(said.output_stride,))


def _minimum_side(card: ModelCard) -> int:
    """What an exported graph's card says of the network that it came from."""
    said = card.extra.get(MINIMUM_SIDE, 1)
    return said if isinstance(said, int) and not isinstance(said, bool) and 1 <= said <= 4096 else 1


def _open(path: Path, facts: OnnxFile) -> _Graph:
    runner: OnnxRunner | LiteRTRunner
    if engine_of(path) == "litert":
        runner = LiteRTRunner(path)
        return _Graph("litert", runner, find_signature(runner))
    runner = OnnxRunner(path, facts)
    return _Graph("onnx", runner, find_signature(runner))


def _hidden_classes(graph: _Graph) -> int:
    runner, signature = graph.runner, graph.signature
    if not isinstance(runner, LiteRTRunner) or not signature.labels:
        return 0
    return runner.classes_behind_labels(signature.output.name)


def _architecture(card: ModelCard, engine: str) -> dict[str, object]:
    """What the graph came from, as far as the card tells, under the engine's name: no network of ours can be built from it."""
    if card.architecture.get("name") == engine:
        return dict(card.architecture)
    return {"name": engine, "exported_from": dict(card.architecture)} if card.architecture else {"name": engine}


def _card_inside(facts: OnnxFile, path: Path) -> ModelCard | None:
    text = facts.metadata.get(CARD_KEY)
    return None if text is None else cards.card_from_metadata(text, path)


def _at(error: AtrousError, path: Path) -> AtrousError:
    """The same error with the file that it is about."""
    return type(error)(error.what, why=error.why, remedy=error.remedy, path=error.path or path)
