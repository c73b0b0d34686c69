"""Model cards beside and inside weights files, and the cards of strangers' files."""

from __future__ import annotations

import colorsys
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplab_core.atomic import atomic_write
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, WeightsError, message
from deeplab_core.model_files import index_of, read_index
from deeplab_core.reading import parse_json, read_json
from deeplab_core.records import ModelCard, Preprocessing, card_path

if TYPE_CHECKING:
    from torch import Tensor


def read_card_file(weights: Path) -> ModelCard | None:
    """The card that the user (or this program) put beside the weights, or None.

    Raises:
        WeightsError: the card file is malformed; a broken card is never passed over silently.
    """
    path = card_path(weights)
    if not path.exists():
        return None
    try:
        return ModelCard.from_dict(read_json(path, what="the model card"))
    except AtrousError as error:
        raise WeightsError(
            message("the model card beside the weights is damaged"),
            why=message("It cannot be used: {what}. {why}", what=error.what, why=error.why) if error.why else error.what,
            remedy=message("Correct it, or delete it to fall back on the documented defaults"),
            path=path,
        ) from error


def write_card_file(weights: str | Path, card: ModelCard) -> Path:
    """Keep an edited card beside its weights; it wins over every guess from then on.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = card_path(Path(weights))
    atomic_write(path, (json.dumps(card.to_dict(), indent=2, ensure_ascii=False) + "\n").encode())
    return path


def numbered_catalog(classes: int) -> ClassCatalog:
    """A catalog for a network without class names: "class 0" .. with well separated colours."""
    infos = []
    for number in range(classes):
        # Golden-ratio steps around the hue circle keep neighbours in number apart in colour.
        red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1.0, 0.65 if number % 2 else 0.9, 0.95 if number % 3 else 0.7)
        infos.append(ClassInfo(number, f"class {number}", (round(red * 255), round(green * 255), round(blue * 255))))
    return ClassCatalog(name=f"numbered{classes}", title=f"{classes} numbered classes", classes=tuple(infos))


#: Classes of a network with one unnamed channel.
OBJECT_CATALOG = ClassCatalog(
    name="object",
    title="Background and one class",
    classes=(ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "object", (230, 60, 60))),
    background=0,
)
#: Probability from which a one-channel network's pixel is the object, unless its card or the user says otherwise: logit 0.
THRESHOLD = 0.5


def settled_card(card: ModelCard, channels: int, path: Path | None = None, *, inputs: int | None = None) -> ModelCard:
    """The card as a network of so many channels needs it: of one, with two classes and a threshold; else without a threshold.

    A catalog that names the object only gets a background in front; the unnamed class of older versions becomes
    :data:`OBJECT_CATALOG`.

    Args:
        inputs: input channels of the network; a card that describes others gets them as :func:`preprocessing_for` says, and
            ``preprocessing`` is then among its guesses. None leaves the preprocessing as it is.

    Raises:
        WeightsError: the catalog does not fit the network, or the card of another network has a threshold.
    """
    catalog = card.catalog
    if channels != 1:
        if card.threshold is not None:
            raise WeightsError(
                message("the model card has a threshold, the network {channels} channels", channels=channels),
                why=message("only a network of one channel compares its class with a threshold"),
                remedy=message("Remove the threshold from the card"),
                path=path,
            )
    elif len(catalog) == 1:
        only = catalog.classes[0]
        if catalog.name == "numbered1":
            catalog = OBJECT_CATALOG
        elif only.id == 0 or only.name == "background":
            raise WeightsError(
                message(
                    "the model card lists one class, '{class_name}' with the id {class_id}, separated from the background",
                    class_name=only.name,
                    class_id=only.id,
                ),
                remedy=message("List two classes in the card: the background first, then the class"),
                path=path,
            )
        else:
            catalog = replace(catalog, classes=(ClassInfo(0, "background", (0, 0, 0)), only), background=0)
    if channels == 1:
        card = replace(card, catalog=catalog, threshold=THRESHOLD if card.threshold is None else card.threshold)
    if inputs is not None and inputs != card.preprocessing.channels:
        guessed = (*card.guessed, *(() if "preprocessing" in card.guessed else ("preprocessing",)))
        card = replace(card, preprocessing=preprocessing_for(card.preprocessing, inputs), guessed=guessed)
    check_card(card, max(2, channels), path)
    return card


def own_card(inside: ModelCard, sidecar: ModelCard | None, path: Path) -> ModelCard:
    """The card of one of our files from the one inside and the one beside it; not finished.

    Raises:
        WeightsError: as :func:`settled_card`.
    """
    card = inside
    if sidecar is not None:
        card = replace(sidecar, architecture=inside.architecture, output_strides=inside.output_strides)
    channels = card.architecture.get("num_classes")
    if isinstance(channels, int):
        inputs = card.architecture.get("in_channels", 3)
        card = settled_card(card, channels, path, inputs=inputs if isinstance(inputs, int) else None)
    return card


#: Weights of red, green and blue in the luminance (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)


def preprocessing_for(usual: Preprocessing, inputs: int) -> Preprocessing:
    """A usual preprocessing of three channels for a network of 1 (gray) or 4 (RGB and the file's fourth channel) input channels.

    Gray has the luminance-weighted mean and deviation of the three, the fourth channel their plain average.

    Raises:
        WeightsError: another number of channels, which no image has.
    """
    if inputs == usual.channels:
        return usual
    if inputs not in (1, 3, 4) or usual.channels != 3:
        raise WeightsError(
            message("this network takes {channels} channels", channels=inputs),
            why=message(
                "Atrous gives a network the gray values, the colours, or the colours and a fourth channel of an image: 1, 3 or 4"
            )
            if inputs not in (1, 3, 4)
            else message("its card describes {channels}", channels=usual.channels),
            remedy=message("Use a network of 1, 3 or 4 channels")
            if inputs not in (1, 3, 4)
            else message("Correct the preprocessing in its card"),
        )

    def changed(values: tuple[float, ...]) -> tuple[float, ...]:
        colors = values[::-1] if usual.channel_order == "BGR" else values
        if inputs == 1:
            return (round(sum(weight * value for weight, value in zip(LUMINANCE, colors, strict=True)), 4),)
        return (*colors, round(sum(colors) / 3, 4))

    return replace(
        usual, channel_order="gray" if inputs == 1 else "RGBA", mean=changed(usual.mean), std=changed(usual.std),
        pad_value=changed(usual.pad_value),
    )  # fmt: skip


def catalog_for(wanted: str | ClassCatalog | None, classes: int) -> ClassCatalog:
    """The wanted catalog (a built-in one by name) where its size fits, else numbered classes.

    A network of one channel has two classes: of unknown names it gets :data:`OBJECT_CATALOG`.
    """
    if wanted is not None:
        catalog = get_catalog(wanted) if isinstance(wanted, str) else wanted
        if len(catalog) == max(2, classes):
            return catalog
    return OBJECT_CATALOG if classes == 1 else numbered_catalog(classes)


def catalog_of(classes: str | ClassCatalog | Sequence[str] | int) -> ClassCatalog:
    """Classes from a catalog, a built-in one's name, names in channel order, or their number."""
    if isinstance(classes, ClassCatalog):
        return classes
    if isinstance(classes, int):
        return numbered_catalog(classes)
    if isinstance(classes, str):
        return get_catalog(classes)
    plain = numbered_catalog(len(classes))
    infos = tuple(replace(info, name=str(name)) for info, name in zip(plain.classes, classes, strict=True))
    return replace(plain, name="own", title=f"{len(infos)} classes", classes=infos)


def finish_card(card: ModelCard, weights: Path) -> ModelCard:
    """The card with the file's digest and the identifier that follows from it."""
    digest = weights_digest(weights)
    return replace(card, sha256=digest, id=_identifier(digest, card))


def finish_card_of_tensors(card: ModelCard, tensors: Mapping[str, Tensor]) -> ModelCard:
    """The card of weights that were never saved, with an identifier that follows from their values."""
    import torch

    digest = hashlib.sha256()
    for key, tensor in tensors.items():
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().to("cpu", torch.float64).contiguous().numpy().tobytes())
    return replace(card, sha256="", id=_identifier(digest.hexdigest(), card))


#: Entry of a card's ``extra``: options that make other predictions from the same weights than the usual ones.
VARIATION = "variation"


def varied(card: ModelCard, options: Mapping[str, Any]) -> ModelCard:
    """The card of weights that are used with options of their own; they become part of its identifier."""
    if not options:
        return card
    return replace(card, extra={**card.extra, VARIATION: {**card.extra.get(VARIATION, {}), **options}})


def _identifier(digest: str, card: ModelCard) -> str:
    slug = "".join(ch if ch.isalnum() else "-" for ch in card.name.lower()).strip("-")
    options = card.extra.get(VARIATION)
    if not options:
        return f"{digest[:12]}-{slug}"
    # Kept predictions are found by this: those of other rates are not those of these.
    variation = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
    return f"{digest[:12]}-{slug}-{variation[:6]}"


def weights_digest(path: Path) -> str:
    """sha256 of a weights file; of weights in several parts, that of the index's and the parts' digests."""
    if index_of(path) != path:
        return file_digest(path)
    digests = [file_digest(path), *(file_digest(path.parent / name) for name in read_index(path))]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file, lower-case hex; remembered while the file does not change."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  (size and time are the cache's key)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_card(card: ModelCard, classes: int, path: Path | None) -> None:
    """Refuse a card with a catalog that does not fit the network.

    Raises:
        WeightsError: with both numbers.
    """
    if len(card.catalog) != classes:
        raise WeightsError(
            message("the model card lists {count} classes, the network has {classes}", count=len(card.catalog), classes=classes),
            remedy=message("Correct the catalog in the card"),
            path=path,
        )


def card_from_metadata(text: str, path: Path) -> ModelCard:
    """The card inside one of our safetensors files.

    Raises:
        WeightsError: malformed.
    """
    try:
        return ModelCard.from_dict(parse_json(text, what="the model card"))
    except AtrousError as error:
        raise WeightsError(
            message("the model card inside the file is damaged"),
            why=str(error),
            remedy=message("Fetch or convert the file again"),
            path=path,
        ) from error
