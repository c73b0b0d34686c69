"""Guessing which catalog a folder of masks was made for, from file names, values and palettes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import ClassCatalog
from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.errors import MaskFormatError
from deeplab_core.formats.stored import StoredMask, read_stored
from deeplab_core.labels import value_counts

#: How many masks are opened, spread evenly over the list.
SAMPLES = 16

_BY_NAME = {"_labelIds.png": "cityscapes34", "_labelTrainIds.png": "cityscapes19"}
# Small enough to decide only between catalogs that explain the values about equally well.
_PRIOR = {"voc21": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogGuess:
    """Which catalogs can explain the masks.

    Attributes:
        names: of the catalogs that fit every sampled mask, likeliest first; empty where none fits.
        certain: whether file names or palettes, not values alone, speak for the first, or nothing else fits.
        reason: what the guess rests on, in words.
    """

    names: tuple[str, ...]
    certain: bool
    reason: str

    @property
    def best(self) -> str | None:
        """The likeliest catalog, or None where none fits."""
        return self.names[0] if self.names else None


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the sampled masks hold: file values and their palette colours, or plain colours."""

    values: frozenset[int]
    palettes: tuple[dict[int, tuple[int, int, int]], ...]
    colors: frozenset[tuple[int, int, int]]


def guess_catalog(paths: Iterable[str | Path], catalogs: Sequence[ClassCatalog] | None = None) -> CatalogGuess:
    """Rank the catalogs that fit the masks.

    Cityscapes' file names decide by themselves. Otherwise a catalog must declare every value (or colour) that occurs; among
    those that do, agreeing palettes count most, then the presence of the catalog's void value, then the share of its classes
    that occur. Masks that cannot be read are left out.

    Args:
        paths: mask files; at most :data:`SAMPLES` of them are opened.
        catalogs: what to choose from; the built-in ones by default.
    """
    masks = [Path(path) for path in paths]
    for ending, name in _BY_NAME.items():
        if masks and all(path.name.endswith(ending) for path in masks):
            return CatalogGuess(names=(name,), certain=True, reason=f"The files are named *{ending}")
    evidence = _look_at(masks[:: max(1, len(masks) // SAMPLES)][:SAMPLES])
    if not evidence.values and not evidence.colors:
        return CatalogGuess(names=(), certain=False, reason="No mask could be read")
    scores = {}
    agreeing = set()
    for catalog in builtin_catalogs().values() if catalogs is None else catalogs:
        if not _fits(evidence, catalog):
            continue
        declared = set(catalog.ids.tolist())
        score = len(evidence.values & declared) / len(declared) + _PRIOR.get(catalog.name, 0.0)
        score += 0.5 * (catalog.file_ignore in evidence.values)
        if evidence.colors or _palettes_agree(evidence, catalog):
            agreeing.add(catalog.name)
            score += 10
        scores[catalog.name] = score
    names = tuple(sorted(scores, key=lambda name: -scores[name]))
    if not names:
        return CatalogGuess(names=(), certain=False, reason="No known catalog declares all their values")
    if agreeing:
        return CatalogGuess(names=names, certain=len(agreeing) == 1, reason="The colours are those of the catalog")
    reason = "Only this catalog declares all their values" if len(names) == 1 else "The values fit best, but not only, here"
    return CatalogGuess(names=names, certain=len(names) == 1, reason=reason)


def _look_at(paths: list[Path]) -> _Evidence:
    values: set[int] = set()
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
        if stored.palette is not None:
            table = stored.palette.tolist()
            palettes.append({int(value): tuple(table[value]) for value in used if value < len(table)})
    return _Evidence(values=frozenset(values), palettes=tuple(palettes), colors=frozenset(colors))


def _unique_colors(stored: StoredMask) -> set[tuple[int, int, int]]:
    assert stored.colors is not None
    wide: NDArray[np.uint32] = stored.colors.astype(np.uint32)
    codes = np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])
    return {(code >> 16, code >> 8 & 255, code & 255) for code in codes.tolist()}


def _fits(evidence: _Evidence, catalog: ClassCatalog) -> bool:
    colors = {info.color for info in catalog.classes} | {catalog.ignore_color}
    return evidence.values <= {*catalog.ids.tolist(), catalog.file_ignore} and evidence.colors <= colors


def _palettes_agree(evidence: _Evidence, catalog: ClassCatalog) -> bool:
    """Whether every used palette entry has its class's colour, and at least one of them is not black, which any table holds."""
    declared = {info.id: info.color for info in catalog.classes} | {catalog.file_ignore: catalog.ignore_color}
    entries = [item for table in evidence.palettes for item in table.items()]
    return any(any(color) for _, color in entries) and all(declared.get(value) == color for value, color in entries)
