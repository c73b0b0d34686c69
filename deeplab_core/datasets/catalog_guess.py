"""Guessing which catalog a folder of masks was made for, from its marker, layout, file names, palettes and values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.truth_checks import Origins
from deeplab_core.errors import AtrousError, MaskFormatError, MessageText, message
from deeplab_core.labels import value_counts
from deeplab_core.masks.read import palette_meaning
from deeplab_core.masks.stored import StoredMask, read_stored
from deeplab_core.reading import read_text

#: How many masks are opened, spread evenly over the list.
SAMPLES = 16

#: Fewer values than this may fit one catalog by chance.
_TELLING_VALUES = 5

_BY_ENDING = {"_labelIds.png": "cityscapes34", "_labelTrainIds.png": "cityscapes19"}
_BY_STEM = {
    "voc21": re.compile(r"\d{4}_\d{6}"),
    "camvid11": re.compile(r"(?:0001TP|0006R0|0016E5|Seq05VD)_\w+"),
    "ade20k150": re.compile(r"ADE_(?:train|val|test)_\d{8}"),
}
_CAMVID_FOLDERS = frozenset({"trainannot", "valannot", "testannot"})
#: Lists of class names that labelling programs write beside the masks.
_CLASS_LISTS = ("labelmap.txt", "class_names.txt", "labels.txt", "classes.txt")
_NO_CLASS = frozenset({"", "background", "void", "ignore", "unlabeled", "unlabelled"})
# Small enough to decide only between catalogs that explain the values about equally well.
_PRIOR = {"voc21": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogGuess:
    """Which catalogs can explain the masks.

    Attributes:
        names: of the catalogs that fit every sampled mask, likeliest first; empty if none fits.
        certain: whether a marker, the layout, file names or palettes, not values alone, speak for the first and nothing
            speaks against it. Ask if it is False.
        reason: what the guess rests on, or what contradicts it, in words.
        catalogs: the same as ``names``; a catalog from a marker is the user's own, whatever its name.
        hinted: whether anything but values speaks for a catalog, also where it is contradicted.
        unread: whether no mask could be read.
    """

    names: tuple[str, ...]
    certain: bool
    reason: str
    catalogs: tuple[ClassCatalog, ...] = ()
    hinted: bool = False
    unread: bool = False

    @property
    def best(self) -> str | None:
        """The likeliest catalog, or None if none fits."""
        return self.names[0] if self.names else None

    @property
    def catalog(self) -> ClassCatalog | None:
        """The likeliest catalog, or None if none fits."""
        return self.catalogs[0] if self.catalogs else None


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the sampled masks hold: file values, used entries and palette of each indexed file, or plain colours."""

    values: frozenset[int]
    palettes: tuple[tuple[NDArray[np.int64], NDArray[np.uint8]], ...]
    colors: frozenset[tuple[int, int, int]]
    plain: frozenset[int] = frozenset()

    @property
    def empty(self) -> bool:
        return not self.values and not self.colors

    @property
    def binary(self) -> bool:
        return not self.colors and 255 in self.values and self.values <= {0, 255}


@dataclass(frozen=True, slots=True)
class _Hint:
    """What speaks for a catalog beside the pixels."""

    catalog: ClassCatalog
    reason: MessageText
    weight: int


def guess_catalog(paths: Iterable[str | Path], catalogs: Sequence[ClassCatalog] | None = None) -> CatalogGuess:
    """Rank the catalogs that fit the masks.

    A catalog must declare every value (or colour) that occurs. For one of those speak, in this order: the marker of a folder
    that Atrous wrote; file names and layouts of the known data sets (``*_gtFine_labelIds``, ``trainannot``,
    ``SegmentationClass``, ``2007_000032``, ``ADE_val_00000001``); palettes or colours that are the catalog's. Values alone are
    certain only if many occur and no other catalog declares them: all ids of CamVid and all train ids of Cityscapes are ids of
    VOC too. The guess is not certain if two hints disagree, if the pixels contradict the hint, if a list of class names beside
    the masks has other names, or if only 0 and 255 occur. Masks that cannot be read are left out.

    Args:
        paths: mask files; at most :data:`SAMPLES` of them are opened.
        catalogs: what to choose from, beside what a marker holds; the built-in ones by default.
    """
    masks = [Path(path) for path in paths]
    known = list(builtin_catalogs().values() if catalogs is None else catalogs)
    sample = masks[:: max(1, len(masks) // SAMPLES)][:SAMPLES]
    evidence = _look_at(sample)
    hints = _hints(masks, sample, evidence, known)
    if evidence.empty:
        known = []  # only a hint can speak for a catalog now
    known += [hint.catalog for hint in hints if hint.catalog not in known]
    scores: list[tuple[float, ClassCatalog]] = []
    agreeing = []
    for catalog in known:
        if not _fits(evidence, catalog):
            continue
        declared = set(catalog.ids.tolist())
        score = len(evidence.values & declared) / len(declared) + _PRIOR.get(catalog.name, 0.0)
        score += 0.5 * (catalog.file_ignore in evidence.values)
        if evidence.colors or _palettes_agree(evidence, catalog):
            agreeing.append(catalog)
            score += 10 + _palettes_agree(evidence, catalog, exactly=True)
        score += sum(hint.weight for hint in hints if hint.catalog == catalog)
        scores.append((score, catalog))
    fitting = tuple(catalog for _, catalog in sorted(scores, key=lambda pair: -pair[0]))
    # Few colours of one catalog may be colours of another at other ids: the one with ids that agree too is meant.
    exact = [catalog for catalog in agreeing if _palettes_agree(evidence, catalog, exactly=True)]
    certain, reason = _verdict(evidence, hints, fitting, exact or agreeing)
    marked = any(hint.weight == _MARKED for hint in hints)  # a list beside it may be of another time
    if certain and not marked and (against := _other_classes(masks, fitting[0])):
        certain, reason = False, against
    return CatalogGuess(
        names=tuple(catalog.name for catalog in fitting),
        certain=certain,
        reason=reason,
        catalogs=fitting,
        hinted=bool(hints) or bool(agreeing),
        unread=evidence.empty,
    )


def _verdict(
    evidence: _Evidence, hints: list[_Hint], fitting: tuple[ClassCatalog, ...], agreeing: list[ClassCatalog]
) -> tuple[bool, str]:
    """Whether the first of the fitting catalogs is certain, and why or why not."""
    if not fitting:
        return False, message("No mask could be read") if evidence.empty else message(
            "No known catalog declares all their values"
        )
    misfit = next((hint for hint in hints if hint.catalog not in fitting), None)
    if misfit is not None:
        strange = sorted(evidence.values - {*misfit.catalog.ids.tolist(), misfit.catalog.file_ignore})
        values = {"reason": misfit.reason, "catalog": misfit.catalog.name}
        if strange:
            ids = ", ".join(map(str, strange[:5]))
            return False, message("{reason}, but the ids {ids} are not those of '{catalog}'", ids=ids, **values)
        return False, message("{reason}, but their colours are not those of '{catalog}'", **values)
    marked = [hint for hint in hints if hint.weight == _MARKED]
    others = [hint for hint in hints if hint.catalog != hints[0].catalog]
    if others and not marked:
        return False, message("{reason}, but: {other}", reason=hints[0].reason, other=others[0].reason)
    if evidence.binary and not marked:
        return False, message("They hold 0 and 255 only, as binary masks do")
    if hints:
        against = agreeing and hints[0].catalog not in agreeing
        if against and not marked:
            return False, message(
                "{reason}, but the colours are those of '{catalog}'", reason=hints[0].reason, catalog=agreeing[0].name
            )
        return (not evidence.empty or hints[0].weight > _LAYOUT), hints[0].reason
    if evidence.empty:
        return False, message("No mask could be read")
    if agreeing:
        return len(agreeing) == 1, message("The colours are those of the catalog")
    if len(fitting) > 1:
        return False, message("Their values fit more than one of the known catalogs")
    telling = len(evidence.values - {fitting[0].file_ignore}) >= _TELLING_VALUES
    only, few = message("Only this catalog declares all their values"), message("Too few values occur to tell the catalog")
    return telling, only if telling else few


_MARKED, _NAMED, _LAYOUT = 1000, 200, 100


def _hints(masks: list[Path], sample: list[Path], evidence: _Evidence, known: list[ClassCatalog]) -> list[_Hint]:
    """What marker, file names and folder names say, strongest first."""
    by_name = {catalog.name: catalog for catalog in known}
    found: list[_Hint] = []
    marked = _marked_catalog(sample)
    if marked is not None:
        found.append(
            _Hint(marked, message("Atrous wrote these masks with the classes of '{catalog}'", catalog=marked.name), _MARKED)
        )

    def add(name: str, reason: MessageText, weight: int) -> None:
        if name in by_name:
            found.append(_Hint(by_name[name], reason, weight))

    if not masks:
        return found
    for ending, name in _BY_ENDING.items():
        if all(path.name.endswith(ending) for path in masks):
            add(name, message("The files are named *{ending}", ending=ending), _NAMED)
    for name, pattern in _BY_STEM.items():
        if all(pattern.fullmatch(path.stem.removesuffix("_L")) for path in masks):
            title = by_name[name].title if name in by_name else name
            add(name, message("The files are named as those of {title}", title=title), _LAYOUT)
    folders = {part.casefold() for path in sample for part in path.parts[-5:-1]}
    if folders & _CAMVID_FOLDERS:
        called = sorted(folders & _CAMVID_FOLDERS)[0]
        add("camvid11", message("The folder is called {name}, as CamVid's", name=called), _LAYOUT)
    if any(part.startswith("segmentationclass") for part in folders):
        add("voc21", message("The folder is called {name}, as PASCAL VOC's", name="SegmentationClass"), _LAYOUT)
    if sample and all(path.parent.name == "semantic" and (path.parent.parent / "image_2").is_dir() for path in sample):
        add(
            "cityscapes34",
            message("The folder is called {name}, as KITTI's, which has the ids of Cityscapes", name="semantic"),
            _LAYOUT,
        )
    if folders & {"gtfine", "gtcoarse"} and not any(hint.weight == _NAMED for hint in found):
        train = 255 in evidence.values and max(evidence.values - {255}, default=0) <= 18
        if train or any(19 <= value <= 33 for value in evidence.values):
            reason = message("The folder is called {name}, as Cityscapes'", name="gtFine")
            add("cityscapes19" if train else "cityscapes34", reason, _LAYOUT)
    return found


def _marked_catalog(sample: list[Path]) -> ClassCatalog | None:
    """The catalog that the markers of all sampled masks give, or None."""
    origins = Origins()
    found: ClassCatalog | None = None
    for path in sample:
        marker = origins.writer_of(Path(os.path.abspath(path)), None)  # noqa: PTH100 -- links stay as they are
        if marker is None or marker.catalog is None or (found is not None and marker.catalog != found):
            return None
        found = marker.catalog
    return found


def _other_classes(masks: list[Path], catalog: ClassCatalog) -> str:
    """What a list of class names beside the masks says against a catalog; empty if there is none, or it agrees."""
    folder = masks[0].parent
    for place in (folder, folder.parent):
        for name in _CLASS_LISTS:
            if not (place / name).is_file():
                continue
            try:
                lines = read_text(place / name, limit=1 << 20).splitlines()
            except AtrousError:
                continue
            names = [re.split(r"[:,;\t]", line)[0].strip() for line in lines if not line.startswith("#")]
            strange = [word for word in names if word.strip("_").lower() not in _NO_CLASS and catalog.by_name(word) is None]
            if strange:
                values = {"file": str(place / name), "catalog": catalog.name, "names": ", ".join(strange[:5])}
                return message("{file} lists classes that '{catalog}' has not: {names}", **values)
    return ""


def _look_at(paths: list[Path]) -> _Evidence:
    values: set[int] = set()
    plain: set[int] = set()
    colors: set[tuple[int, int, int]] = set()
    palettes = []
    for path in paths:
        try:
            stored = read_stored(path)
        except MaskFormatError:
            continue
        if stored.values is None:
            colors |= _unique_colors(stored)
            continue
        used = np.flatnonzero(value_counts(stored.values))
        values.update(used.tolist())
        if stored.palette is None:
            plain.update(used.tolist())
        else:
            palettes.append((used, stored.palette))
    return _Evidence(values=frozenset(values), palettes=tuple(palettes), colors=frozenset(colors), plain=frozenset(plain))


def _unique_colors(stored: StoredMask) -> set[tuple[int, int, int]]:
    assert stored.colors is not None
    wide: NDArray[np.uint32] = stored.colors.astype(np.uint32)
    codes = np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])
    return {(code >> 16, code >> 8 & 255, code & 255) for code in codes.tolist()}


def _fits(evidence: _Evidence, catalog: ClassCatalog) -> bool:
    """Whether every mask can be read in a catalog, by the rules of :func:`deeplab_core.masks.read_mask`."""
    colors = {info.color for info in catalog.classes} | {catalog.ignore_color}
    declared = {*catalog.ids.tolist(), catalog.file_ignore}
    if not (evidence.plain <= declared and evidence.colors <= colors):
        return False
    for used, palette in evidence.palettes:
        kind = palette_meaning(palette, used, catalog).kind
        if kind == "shared" or (kind != "renumbered" and not declared.issuperset(used.tolist())):
            return False
    return True


def _palettes_agree(evidence: _Evidence, catalog: ClassCatalog, *, exactly: bool = False) -> bool:
    """Whether every used palette entry is a colour of the catalog, and one of them at least is not black, as any table's may be.

    Entries at other places than their classes' ids count too, unless ``exactly``: such a file is read by its colours.
    """
    kinds = ("agrees",) if exactly else ("agrees", "renumbered")
    colored = any(palette[used[used < len(palette)]].any() for used, palette in evidence.palettes)
    return colored and all(palette_meaning(palette, used, catalog).kind in kinds for used, palette in evidence.palettes)
