"""From an ONNX or LiteRT file to a model with its card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deeplab_core import model_cards as cards
from deeplab_core.backends.litert_runner import LiteRTRunner, looks_like_litert
from deeplab_core.backends.network import EngineModel
from deeplab_core.backends.onnx_file import OnnxFile, looks_like_onnx, read_onnx_file
from deeplab_core.backends.onnx_runner import OnnxRunner
from deeplab_core.backends.signature import Signature, TensorSpec, find_signature
from deeplab_core.errors import AtrousError, WeightsError, message
from deeplab_core.records import CARD_KEY, ModelCard, Preprocessing, card_path

#: Endings that people know these files by; what a file is, its content tells.
SUFFIXES = (".onnx", ".tflite")


#: Entry of a card's ``extra``: name of the output that is read, of a graph with several.
OUTPUT = "output"
#: Entry of a card's ``extra``: smallest side of the images that an exported graph takes.
MINIMUM_SIDE = "minimum_side"
#: Number of classes -> the catalog that networks of that many classes are nearly always trained on.
_CATALOGS = {11: "camvid11", 19: "cityscapes19", 21: "voc21", 34: "cityscapes34", 150: "ade20k150"}
#: Input range -1..1, the convention of TensorFlow's DeepLab and of MobileNets.
_SIGNED_UNIT = (127.5, 127.5, 127.5)


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
        return ""  # the next reader reports why it cannot be read
    return "litert" if looks_like_litert(head) else "onnx" if looks_like_onnx(head) else ""


def load_engine(path: Path, sidecar: ModelCard | None = None, *, output: str = "") -> tuple[EngineModel, ModelCard]:
    """A graph as a model, and its card.

    Args:
        path: a file that :func:`engine_of` knows.
        sidecar: the card beside the file; it wins over the one in an ONNX file's metadata, which wins over every guess.
        output: name of the output to read; empty takes the card's, or finds it, see
            :func:`deeplab_core.backends.signature.find_signature`.

    Returns:
        The model on the CPU, and its card without digest.

    Raises:
        WeightsError: the engine is not installed, the file is damaged, or no network for semantic segmentation.
        UnsafeCheckpoint: it points at files outside its folder.
    """
    file = read_onnx_file(path) if engine_of(path) == "onnx" else OnnxFile()
    stored_card = sidecar or _card_inside(file, path)
    stored = "" if stored_card is None else str(stored_card.extra.get(OUTPUT, ""))
    try:
        graph = _open(path, file, 0 if stored_card is None else len(stored_card.catalog), output or stored)
    except WeightsError as error:
        raise _at(error, path) from error
    if "embed" in graph.signature.output.name.lower():
        raise WeightsError(
            message("this graph gives features of an image, not classes"),
            why=message("its output {name} is for the decoder of a click network", name=graph.signature.output.name),
            remedy=message("Choose another model"),
            path=path,
        )
    classes = graph.signature.classes or _hidden_classes(graph) or (len(stored_card.catalog) if stored_card is not None else 0)
    if not classes:
        raise WeightsError(
            message("the graph gives labels only, and nothing in it tells how many classes it knows"),
            remedy=message("Put a model card with its catalog beside it, as {file}", file=card_path(path).name),
            path=path,
        )
    align = graph.runner.align_corners.get(graph.signature.output.name)
    card = guessed_card(path, graph.engine, graph.signature, graph.runner.input, classes, align)
    if stored_card is not None:
        card = replace(
            stored_card, architecture=_architecture(stored_card, graph.engine), output_strides=(stored_card.output_stride,),
            align_corners=stored_card.align_corners if align is None else align,
        )  # fmt: skip
    card = _with_output(card, graph.signature, chosen=bool(output or stored))
    model = EngineModel(
        graph.runner,
        graph.signature,
        num_classes=classes,
        output_stride=card.output_stride,
        align_corners=card.align_corners,
        architecture=dict(card.architecture),
        minimum_side=_minimum_side(card),
    )
    return model, card


def read_engine_card(path: Path, sidecar: ModelCard | None = None) -> ModelCard:
    """The card of a graph, without digest; the engine is not needed where the file or its neighbour holds one.

    Raises:
        WeightsError, UnsafeCheckpoint: as :func:`load_engine`.
    """
    engine = engine_of(path)
    file = read_onnx_file(path) if engine == "onnx" else OnnxFile()
    stored_card = sidecar or _card_inside(file, path)
    if stored_card is None:
        return load_engine(path)[1]
    return replace(stored_card, architecture=_architecture(stored_card, engine), output_strides=(stored_card.output_stride,))


def _minimum_side(card: ModelCard) -> int:
    """What an exported graph's card records about its source network."""
    side = card.extra.get(MINIMUM_SIDE, 1)
    return side if isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= 4096 else 1


def _with_output(card: ModelCard, signature: Signature, *, chosen: bool) -> ModelCard:
    """The card with the name of the output that is read, if the graph has several; a guess unless it was chosen."""
    if not signature.others and not chosen:
        return card
    extra = {**card.extra, OUTPUT: signature.output.name}
    if signature.others:
        extra["other_outputs"] = list(signature.others)
    sure = chosen or signature.named or OUTPUT in card.guessed
    guessed = tuple(name for name in card.guessed if name != OUTPUT or not chosen)
    card = replace(card, extra=extra, guessed=guessed if sure else (*guessed, OUTPUT))
    return cards.varied(card, {OUTPUT: signature.output.name}) if chosen else card


def _open(path: Path, file: OnnxFile, classes: int, output: str) -> _Graph:
    runner: OnnxRunner | LiteRTRunner
    if engine_of(path) == "litert":
        runner = LiteRTRunner(path)
        return _Graph("litert", runner, find_signature(runner, classes=classes, wanted=output))
    runner = OnnxRunner(path, file)
    return _Graph("onnx", runner, find_signature(runner, classes=classes, wanted=output))


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


def _card_inside(file: OnnxFile, path: Path) -> ModelCard | None:
    text = file.metadata.get(CARD_KEY)
    return None if text is None else cards.card_from_metadata(text, path)


def _at(error: AtrousError, path: Path) -> AtrousError:
    """The same error with the file that it is about."""
    return type(error)(error.what, why=error.why, remedy=error.remedy, path=error.path or path)


def guessed_card(path: Path, engine: str, signature: Signature, spec: TensorSpec, classes: int, align: bool | None) -> ModelCard:
    """The card of a graph that brings none.

    Args:
        path: its file, which it is called by.
        engine: ``"onnx"`` or ``"litert"``.
        spec: its input.
        classes: number of classes.
        align: the rule of its upsampling where the graph tells.
    """
    guessed = ["catalog", "preprocessing", "output_stride"]
    if align is None and signature.grid != signature.probed:  # without an upsampling there is no rule
        guessed.append("align_corners")
    title = {"onnx": "ONNX", "litert": "LiteRT"}[engine]
    what = "labels without scores" if signature.labels else "scores" if classes > 1 else "one score"
    names = "one class and the background" if classes == 1 else f"{classes} classes"
    return ModelCard(
        id="",
        name=path.stem,
        architecture={"name": engine},
        catalog=cards.catalog_for(_CATALOGS.get(classes), classes),
        preprocessing=_preprocessing(engine, signature, spec),
        align_corners=_aligned(signature) if align is None else align,
        output_stride=_stride(signature),
        output_strides=(_stride(signature),),
        summary=f"{title} graph, {names}, {what}; check class names and input",
        threshold=cards.THRESHOLD if classes == 1 else None,
        guessed=tuple(guessed),
    )


def _preprocessing(engine: str, signature: Signature, spec: TensorSpec) -> Preprocessing:
    mean, std = _normalisation(engine, spec)
    resize, padding = "native", "none"
    height, width = signature.size
    if height is not None and width is not None:
        resize, padding = (
            (f"long_side:{height}", f"canvas:{height}")
            if height == width
            else (f"fit:{height}x{width}", f"canvas:{height}x{width}")
        )
    return Preprocessing(mean=mean, std=std, resize=resize, padding=padding, pad_value=mean)


def _normalisation(engine: str, spec: TensorSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if np.issubdtype(spec.dtype, np.integer):
        # Raw pixels go in unchanged (shifted by 128 for a signed type): the normalisation is that of the quantisation.
        zero = spec.zero_point - int(np.iinfo(spec.dtype).min)
        unit = 1.0 / spec.scale if spec.scale else 1.0
        return (float(zero),) * 3, (unit,) * 3
    if engine == "litert":
        return _SIGNED_UNIT, _SIGNED_UNIT
    usual = Preprocessing()  # ImageNet's mean and deviation, as torchvision's and nearly all exported networks
    return usual.mean, usual.std


def _aligned(signature: Signature) -> bool:
    """TensorFlow's DeepLab takes 16 k + 1 pixels so that corners fall on features; other exports rarely have odd sizes."""
    (height, width), (rows, columns) = signature.probed, signature.grid
    if not (1 < rows < height and 1 < columns < width and height % 2 and width % 2):
        return False
    return (height - 1) % (rows - 1) == 0 and (width - 1) % (columns - 1) == 0


def _stride(signature: Signature) -> int:
    """Input pixels per score, but at least 16: tiles start on its multiples, and encoders look that coarsely behind decoders."""
    step = round((signature.probed[0] - 1) / max(1, signature.grid[0] - 1))
    return step if step > 16 or 16 % step else 16
