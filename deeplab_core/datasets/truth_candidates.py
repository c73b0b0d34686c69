"""Which folders may hold the ground truth of a folder of images, and which of their files belong to which image: by names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from deeplab_core.datasets.find import MASK_SUFFIXES
from deeplab_core.images.file_names import is_label_folder, is_passed_over, mask_stem, name_key, photo_stem, split_name

Layout = Literal["auto", "voc", "cityscapes", "camvid", "same_stem", "chosen", "none"]

#: How far above the opened folder masks are looked for: Cityscapes opened at one city has them three folders up.
_LEVELS_ABOVE = {"cityscapes": 3}
_LEVELS_ABOVE_OTHERS = 1

_TRUTH_SUFFIXES = (".png", *sorted(MASK_SUFFIXES - {".png"}), ".npy")
#: Words in names of folders that hold something else: ``SegmentationObject``, ADE20K's ``annotations_instance``, panoptic masks.
_NO_CLASSES = ("segmentationobject", "instance", "panoptic")
#: Endings of Cityscapes' label files, the preferred one first.
CITYSCAPES_KINDS = {"cityscapes19": ("_labelTrainIds", "_labelIds"), "other": ("_labelIds", "_labelTrainIds")}

#: Folder and name of a possible mask: paths are made only of the few that are chosen.
_File = tuple[Path, str]


@dataclass(frozen=True, slots=True)
class TruthProblem:
    """Why an image has no ground truth although files were found, or what else to know. ``image`` is its relative path."""

    image: str
    message: str


@dataclass(slots=True)
class Candidate:
    """A folder that may hold the ground truth of the images of one folder.

    Attributes:
        folder: where the files are.
        source: what it is a part of: all candidates of one source are judged by their contents together. The opened folder for
            masks beside their images, ``*/masks`` for a sub-folder of the images' own, the folder that is named for a neighbour.
        named: the folder with a name that announces masks.
        layout: by that name.
        affinity: 2 named after the images' folder, 1 the masks of a known layout, 0 any folder of masks.
        outspoken: whether the name says ground truth; 'masks' may hold anything.
        inside: whether it is in the opened folder.
        borrowed: whether nothing but the name of the images' folder speaks for it (``photos_masks`` beside ``photos``).
        files: image -> mask.
        problems: images that more than one file claims, and images of one folder that claim the same file.
        owners: mask -> image that has claimed it, None once two images of one folder did.
    """

    folder: Path
    source: str
    named: Path
    layout: Layout
    affinity: int = 0
    outspoken: bool = False
    inside: bool = True
    borrowed: bool = False
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[TruthProblem] = field(default_factory=list)
    owners: dict[Path, str | None] = field(default_factory=dict)

    def match(self, image: str, masks: dict[str, list[_File]], kinds: tuple[str, ...]) -> None:
        """Find the mask of an image among those of a folder: ``a.jpg.png`` for ``a.jpg``, else by their stems."""
        whole = name_key(_name(image))
        own, _ = split_name(whole)
        stem = photo_stem(own)
        exact = masks.get(whole)
        rivals = exact or masks.get(own) or masks.get(stem)
        if not rivals:
            return
        if exact:
            stem = whole
        chosen = _preferred(rivals, stem, kinds)
        if len(chosen) == 1:
            folder, name = chosen[0]
            self._claim(image, folder / name, exact=bool(exact))
        elif chosen:
            names = " and ".join(sorted({name for _, name in chosen}))
            folders = " and ".join(sorted({str(folder) for folder, _ in chosen}))
            self.problems.append(TruthProblem(image, f"{names} in {folders} claim to be its ground truth; keep one"))

    def _claim(self, image: str, mask: Path, *, exact: bool) -> None:
        """Take a mask for an image, unless another image of the same folder has the same stem: then neither gets it."""
        other = self.owners.get(mask, image)
        if other is not None and (other == image or place_of(other) != place_of(image)):
            self.files[image] = mask
            self.owners[mask] = image
            return
        if other is not None and split_name(mask.name)[0] != _name(other):
            del self.files[other]
            self.problems.append(_contested(other, image, mask))
            self.owners[mask] = None
        if exact:
            self.files[image] = mask
            self.owners[mask] = image
        else:
            self.problems.append(_contested(image, other, mask))


def _contested(image: str, other: str | None, mask: Path) -> TruthProblem:
    rival = f"{_name(image)} and {_name(other)}" if other is not None else f"{_name(image)} and another image"
    remedy = f"name it {_name(image)}{mask.suffix} to name its image"
    what = f"{rival} have the same name but for the ending or the Unicode form"
    return TruthProblem(image, f"{what}, and {mask} fits both; {remedy}")


class Listings:
    """Directory contents, each read once."""

    def __init__(self, root: Path, images: Sequence[str]) -> None:
        # By their real folders: a linked copy of the photographs is not a folder of masks, whatever its name.
        split = [image.rpartition("/") for image in images if image.lower().endswith(_TRUTH_SUFFIXES)]
        real = {place: os.path.realpath(root / place) for place in {place for place, _, _ in split}}
        self._photographs = {(real[place], name) for place, _, name in split}
        self._masks: dict[Path, dict[str, list[_File]]] = {}
        self._label_folders: dict[Path, list[str]] = {}
        self._names: dict[Path, tuple[list[str], list[str]]] = {}

    def masks(self, folder: Path) -> dict[str, list[_File]]:
        """Possible masks of a folder, by their own stem and by the stem they point to."""
        if folder not in self._masks:
            found: dict[str, list[_File]] = defaultdict(list)
            real = os.path.realpath(folder)
            for name in self._contents(folder)[1]:
                own, suffix = split_name(name_key(name))
                if suffix in _TRUTH_SUFFIXES and (real, name) not in self._photographs:
                    for stem in {own, mask_stem(own)}:
                        found[stem].append((folder, name))
            self._masks[folder] = found
        return self._masks[folder]

    def label_folders(self, parent: Path) -> list[str]:
        """Sub-folders that are named like class masks."""
        if parent not in self._label_folders:
            names = self.folders(parent)
            self._label_folders[parent] = [name for name in names if is_label_folder(name) and not _holds_no_classes(name)]
        return self._label_folders[parent]

    def folders(self, parent: Path) -> list[str]:
        """Names of the sub-folders, hidden ones left out."""
        return self._contents(parent)[0]

    def _contents(self, folder: Path) -> tuple[list[str], list[str]]:
        """Names of the sub-folders of a folder in order, and of the files that may hold masks; hidden ones left out."""
        if folder not in self._names:
            self._names[folder] = _contents(folder)
        return self._names[folder]


def _holds_no_classes(name: str) -> bool:
    lower = name.casefold()
    return any(word in lower for word in _NO_CLASSES)


def _contents(folder: Path) -> tuple[list[str], list[str]]:
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir():
                    if not is_passed_over(name):
                        folders.append(name)
                # Of 100,000 photographs most end here.
                elif name.lower().endswith(_TRUTH_SUFFIXES) and not is_passed_over(name):
                    files.append(name)
    except OSError:  # a candidate that does not exist, or may not be opened, holds no masks
        return [], []
    return sorted(folders), files


def candidates(listings: Listings, root: Path, place: Path) -> Iterator[Candidate]:
    """Every folder that may, by name and place, hold the masks of the images in ``place``."""
    yield Candidate(folder=place, source=str(root), named=place, layout="same_stem", affinity=2)
    for name in listings.label_folders(place):
        yield _candidate(place / name, place / name, f"*/{name}", affinity=2)
    ancestor, way_down, above = place, PurePosixPath(), 0
    while ancestor.parent != ancestor:
        parent = ancestor.parent
        neighbours = set(listings.folders(parent))
        for name in listings.label_folders(parent):
            if name == ancestor.name or _belongs_to_another(name, ancestor.name, neighbours):
                continue
            named = parent / name
            candidate = _candidate(named / way_down, named, str(named), affinity=_affinity(name, ancestor.name))
            candidate.inside = not above and ancestor != root
            candidate.borrowed = _is_borrowed(candidate, ancestor.name)
            if above < _LEVELS_ABOVE.get(candidate.layout, _LEVELS_ABOVE_OTHERS):
                yield candidate
        above += ancestor == root or above > 0
        if above >= max(_LEVELS_ABOVE.values()):
            return
        way_down = PurePosixPath(ancestor.name) / way_down
        ancestor = parent


def _candidate(folder: Path, named: Path, source: str, affinity: int) -> Candidate:
    lower = named.name.casefold()
    layout: Layout = "same_stem"
    if lower.startswith(("gtfine", "gtcoarse")):
        layout = "cityscapes"
    elif lower.startswith("segmentationclass"):
        layout = "voc"
    elif lower.endswith("annot"):
        layout = "camvid"
    outspoken = "truth" in lower or bool({"gt", "gts"} & set(_words(lower)))
    return Candidate(folder=folder, source=source, named=named, layout=layout, affinity=affinity, outspoken=outspoken)


def _words(lower: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in lower).split()


def _affinity(name: str, photographs: str) -> int:
    lower = name.casefold()
    if photographs.casefold() in lower:
        return 2
    return 1 if lower in ("segmentationclass", "gtfine", "labels") else 0


def _is_borrowed(candidate: Candidate, photographs: str) -> bool:
    """Whether a neighbour's name only names the source of its masks, as in exports of older versions: ``photos_masks``."""
    lower, own = candidate.named.name.casefold(), photographs.casefold()
    rest = lower.removeprefix(own)
    named_after = 0 < len(rest) < len(lower) and (not rest[0].isalnum() or is_label_folder(rest))
    return named_after and candidate.layout == "same_stem" and not candidate.outspoken


def _belongs_to_another(name: str, own: str, neighbours: set[str]) -> bool:
    """Whether a folder of masks is named after another folder of photographs: ``trainannot`` where ``train`` is not ours."""
    lower = name.casefold()
    if lower.startswith(own.casefold()):
        return False
    return any(
        lower.startswith(other.casefold()) and not is_label_folder(other) and other not in (own, name) for other in neighbours
    )


def _preferred(files: list[_File], stem: str, kinds: tuple[str, ...]) -> list[_File]:
    """The best of several files for one image; more than one if nothing distinguishes them."""
    if len(files) == 1 and files[0][1] == f"{stem}.png":
        return files
    ranked: dict[int, list[_File]] = defaultdict(list)
    for file in files:
        own, suffix = split_name(name_key(file[1]))
        tail = own[len(stem) :]
        if tail.startswith(("_gtFine", "_gtCoarse")):
            kind = next((position for position, name in enumerate(kinds) if tail.endswith(name)), None)
            if kind is None:  # colours and instances
                continue
            rank = kind
        else:
            rank = (0 if not tail else len(_TRUTH_SUFFIXES)) + _TRUTH_SUFFIXES.index(suffix)
        ranked[rank].append(file)
    return ranked[min(ranked)] if ranked else []


def place_of(image: str) -> str:
    """Folder of a relative path with ``/``; empty for the opened folder itself."""
    return image.rpartition("/")[0]


def _name(image: str) -> str:
    return image.rpartition("/")[2]
