"""The metadata of a model file from its card, read without loading it. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.text import mark, tr
from deeplab_core.errors import AtrousError
from deeplab_core.reading import parse_json, read_json
from deeplab_core.records import CARD_KEY, card_path

#: Fewer classes have no best and weakest ones that differ.
_ENOUGH = 4
#: What the cards of the bundled models say of themselves and of the images that their figures belong to.
_BUNDLED = frozenset(
    (
        mark("Streets from a car in CamVid's 11 classes; weak on people, signs and pavement; research only"),
        mark("Photographs in PASCAL VOC's 21 classes: people, animals, vehicles, indoors; weak on chairs, tables and plants"),
        mark("Furniture in rendered rooms: chairs, sofas, tables, plants, TV sets, bottles; weak on photographs"),
        mark("101 frames of a CamVid drive that it never saw"),
        mark("99 labelled photographs, each by a network that did not train on it (five folds)"),
        mark("the 24 rooms of the sample project, which it never saw"),
    )
)


@dataclass(frozen=True, slots=True)
class ModelNote:
    """What a card says; empty where the file has none, or one that cannot be read.

    Attributes:
        name, summary: as the card has them, in one line.
        classes: names of its classes.
        figures: see :func:`figures_line`.
    """

    name: str = ""
    summary: str = ""
    classes: tuple[str, ...] = ()
    figures: str = ""


def note_of(path: Path) -> ModelNote:
    """The note of a model file as it is now; remembered until it, or the card beside it, is written again."""
    beside = card_path(path)
    return _read(path, beside, _version(path), _version(beside))


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=512)
def _read(path: Path, beside: Path, _version: tuple[int, int], _beside_version: tuple[int, int]) -> ModelNote:
    try:
        card = read_json(beside) if beside.is_file() else parse_json(_inside(path))
    except (AtrousError, OSError):
        return ModelNote()
    if not isinstance(card, Mapping):
        return ModelNote()
    return ModelNote(
        _line(card.get("name")),
        card_text(_line(card.get("summary"))),
        _classes(card.get("catalog")),
        figures_line(card.get("extra")),
    )


def card_text(text: str) -> str:
    """A text of a bundled model's card in the language of the window; one of any other card as it stands there."""
    return tr(text) if text in _BUNDLED else text


def figures_line(extra: object) -> str:
    """How good a model is, with the data that the figure belongs to, and its best and weakest classes; empty if nothing is known.

    Args:
        extra: of a card. ``figures`` has ``{"miou": 0.457, "on": "101 frames of another drive", "iou": {class: IoU}}``, with
            fractions; ``published`` is what a list of published models states; ``training`` has the last validation of
            ``atrous train``.
    """
    if not isinstance(extra, Mapping):
        return ""
    training = _table(extra.get("training"))
    found, on = _table(extra.get("figures")), ""
    if found:
        on = card_text(_line(found.get("on")))
    elif published := _table(extra.get("published")):
        return _published_line(published)
    elif found := _table(training.get("validation")):
        count = _table(training.get("data")).get("validation_images")
        found = {"miou": found.get("mean_iou"), **found}
        on = tr("{count} validation images", count=count) if isinstance(count, int) else tr("its validation images")
    mean = _fraction(found.get("miou"))
    if mean is None:
        return ""
    text = tr("mIoU {miou:.1f} on {on}", miou=100 * mean, on=on)
    classes = sorted(
        ((value, str(name)) for name, number in _table(found.get("iou")).items() if (value := _fraction(number)) is not None),
        reverse=True,
    )
    if len(classes) < _ENOUGH:
        return text
    best, weakest = (", ".join(f"{name} {100 * value:.0f}" for value, name in part) for part in (classes[:2], classes[:-3:-1]))
    return tr("{text}; best: {best}; weakest: {weakest}", text=text, best=best, weakest=weakest)


def _published_line(published: Mapping[str, object]) -> str:
    try:
        miou = float(str(published.get("miou")))
    except ValueError:
        return ""
    return tr("mIoU {miou:.1f} on {on}, as published", miou=miou, on=_line(published.get("miou_on")))


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _fraction(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= 1 else None


def _classes(catalog: object) -> tuple[str, ...]:
    rows = _table(catalog).get("classes")
    return tuple(_line(_table(row).get("name")) for row in rows) if isinstance(rows, list) else ()


def _inside(path: Path) -> str:
    """The card in the header of a safetensors file; empty if missing."""
    if path.suffix != ".safetensors":
        return ""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stream:
            metadata: dict[str, str] = stream.metadata() or {}
    except SafetensorError:
        return ""
    return metadata.get(CARD_KEY, "")


def _line(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
