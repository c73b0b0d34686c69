"""Which prediction belongs to which truth file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deeplab_core.datasets.find import MASK_SUFFIXES
from deeplab_core.errors import AtrousError, MaskFormatError, message
from deeplab_core.images.file_names import bare_stem, is_passed_over, mask_stem, name_key, photo_stem, split_name

#: Companions of masks that hold something else: our own confidence maps, Cityscapes' colour and instance renderings.
_NOT_MASKS = (".confidence", "_color", "_instanceIds", "_instanceTrainIds")
_SUFFIXES = MASK_SUFFIXES | {".npy"}
#: Cityscapes ships several label files per photograph; the other kind is read (and translated) only where it stands alone.
_PREFERRED = {"cityscapes19": "_labelTrainIds", "cityscapes34": "_labelIds"}


@dataclass(frozen=True, slots=True)
class MaskPair:
    """A prediction and its truth; ``name`` is the prediction's path below its folder, with ``/`` as separator."""

    name: str
    prediction: Path
    truth: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Result of :func:`pair_masks`.

    Attributes:
        pairs: in the order of their names.
        missing: truth files without a prediction: an evaluation without them is one of a part.
        extra: predictions without truth.
        ambiguous: one error per file that could be paired in more than one way; such files are in none of the other lists.
    """

    pairs: tuple[MaskPair, ...]
    missing: tuple[Path, ...]
    extra: tuple[Path, ...]
    ambiguous: tuple[AtrousError, ...]


@dataclass(frozen=True, slots=True)
class _Mask:
    path: Path
    relative: PurePosixPath

    @property
    def exact(self) -> str:
        return name_key(str(self.relative.with_suffix("")))

    @property
    def folded(self) -> str:
        return name_key(str(self.relative.with_name(photo_stem(mask_stem(name_key(self.relative.stem))))))

    @property
    def bare(self) -> str:
        return name_key(str(self.relative.with_name(self.stem)))

    @property
    def stem(self) -> str:
        return bare_stem(self.relative.stem)


def pair_masks(prediction_dir: Path, truth_dirs: Sequence[Path], catalog_name: str = "") -> Pairing:
    """Pair mask files by name.

    Four rules, each for what the ones before left over: equal paths below the folders, file endings aside; equal paths after the
    usual additions to mask names (``_gtFine_labelIds``, ``_mask``, ...) are dropped; after the photograph's own ending is dropped
    too (``a.jpg.png``); equal file names anywhere below the folders. Names are compared in one Unicode form. Where a rule fits
    more than one file the files are reported and not paired.

    Args:
        prediction_dir: folder of predicted masks, read with its sub-folders; hidden files and folders are passed over.
        truth_dirs: folders of truth masks.
        catalog_name: ``"cityscapes19"`` and ``"cityscapes34"`` choose among Cityscapes' kinds of label file.

    Raises:
        MaskFormatError: a folder does not exist.
    """
    predictions = list(_masks(prediction_dir, catalog_name))
    truths = {mask.path: mask for folder in truth_dirs for mask in _masks(folder, catalog_name)}
    left_predictions, left_truths = predictions, list(truths.values())
    pairs: list[MaskPair] = []
    ambiguous: list[AtrousError] = []
    rules: tuple[Callable[[_Mask], str], ...] = (
        lambda mask: mask.exact,
        lambda mask: mask.folded,
        lambda mask: mask.bare,
        lambda mask: mask.stem,
    )
    for rule in rules:
        named_predictions, named_truths = _by(rule, left_predictions), _by(rule, left_truths)
        settled: set[Path] = set()
        for key in named_predictions.keys() & named_truths.keys():
            ours, theirs = named_predictions[key], named_truths[key]
            settled.update(mask.path for mask in (*ours, *theirs))
            if len(ours) == len(theirs) == 1:
                pairs.append(MaskPair(str(ours[0].relative), ours[0].path, theirs[0].path))
            else:
                ambiguous.append(_ambiguity(ours, theirs))
        left_predictions = [mask for mask in left_predictions if mask.path not in settled]
        left_truths = [mask for mask in left_truths if mask.path not in settled]
    return Pairing(
        pairs=tuple(sorted(pairs, key=lambda pair: pair.name)),
        missing=tuple(sorted(mask.path for mask in left_truths)),
        extra=tuple(sorted(mask.path for mask in left_predictions)),
        ambiguous=tuple(sorted(ambiguous, key=str)),
    )


def _masks(folder: Path, catalog_name: str) -> Iterator[_Mask]:
    if not folder.is_dir():
        raise MaskFormatError(message("there is no such folder"), remedy=message("Name a folder of masks"), path=folder)
    found: dict[str, list[_Mask]] = defaultdict(list)
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_passed_over(name))
        stems = {split_name(name)[0] for name in files}
        for name in sorted(files):
            path = Path(root, name)
            if not is_passed_over(name) and path.suffix.lower() in _SUFFIXES and not _is_sidecar(path.stem, stems):
                mask = _Mask(path, PurePosixPath(path.relative_to(folder).as_posix()))
                found[mask.folded].append(mask)
    preferred = _PREFERRED.get(catalog_name, "_labelIds")
    for masks in found.values():
        chosen = [mask for mask in masks if mask.path.stem.endswith(preferred)]
        yield from chosen or masks


def _is_sidecar(stem: str, stems: set[str]) -> bool:
    """Whether a file beside a mask is not a mask itself. The name is not enough: a photograph may be called ``car_color``."""
    ending = next((ending for ending in _NOT_MASKS if stem.endswith(ending)), None)
    if ending is None:
        return False
    own = stem.removesuffix(ending)
    has_partner = any(own + other in stems for other in ("", "_labelIds", "_labelTrainIds"))
    return ending == ".confidence" or own.endswith(("_gtFine", "_gtCoarse")) or has_partner


def _by(rule: Callable[[_Mask], str], masks: Iterable[_Mask]) -> dict[str, list[_Mask]]:
    named: dict[str, list[_Mask]] = defaultdict(list)
    for mask in masks:
        named[rule(mask)].append(mask)
    return named


def _ambiguity(predictions: list[_Mask], truths: list[_Mask]) -> AtrousError:
    several, what = (truths, message("truth files")) if len(truths) > 1 else (predictions, message("predictions"))
    return MaskFormatError(
        message("{count} {what} have this name", count=len(several), what=what),
        why=message(
            "Found {paths}", paths=", ".join([*(str(mask.path) for mask in several[:4]), *(["..."] if several[4:] else [])])
        ),
        remedy=message("Keep the same sub-folders on both sides, or evaluate folder by folder"),
        path=predictions[0].path,
    )
