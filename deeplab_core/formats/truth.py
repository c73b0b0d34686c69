"""Finding the truth masks that belong to photographs: PASCAL VOC, Cityscapes, CamVid, same-stem files, or a chosen folder."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from deeplab_core.catalog import ClassCatalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.images.find import MASK_SUFFIXES
from deeplab_core.images.label_names import is_label_folder, mask_stem, photo_stem

Layout = Literal["auto", "voc", "cityscapes", "camvid", "same_stem", "chosen", "none"]

#: How far above the opened folder masks are looked for: Cityscapes opened at one city has them three folders up.
_LEVELS_ABOVE = {"cityscapes": 3}
_LEVELS_ABOVE_OTHERS = 1

_TRUTH_SUFFIXES = (".png", *sorted(MASK_SUFFIXES - {".png"}), ".npy")
_NO_CLASSES = ("segmentationobject", "instance")
_CITYSCAPES_KINDS = {"cityscapes19": ("_labelTrainIds", "_labelIds"), "other": ("_labelIds", "_labelTrainIds")}


@dataclass(frozen=True, slots=True)
class TruthProblem:
    """Why an image has no truth although files were found, or what else should be known. ``image`` is its relative path."""

    image: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthIndex:
    """Which truth file belongs to which image.

    Attributes:
        files: relative image path -> truth file. Nothing is opened yet: size and content are checked when a mask is read.
        layout: ``"voc"``, ``"cityscapes"``, ``"camvid"``, ``"same_stem"`` or ``"chosen"``; of several, the one with the most
            images; ``"none"`` where nothing was found.
        folders: folders in which truth was found.
        missing: images without truth.
        problems: ambiguities, with both names.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    layout: Layout = "none"
    folders: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()
    problems: tuple[TruthProblem, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def get(self, image: str) -> Path | None:
        """Truth file of an image, or None."""
        return self.files.get(image)


def find_truth(
    folder: str | Path,
    images: Iterable[str],
    layout: Layout = "auto",
    *,
    truth_folder: str | Path | None = None,
    catalog: ClassCatalog | None = None,
) -> TruthIndex:
    """Find the truth file of each image.

    Looked through, for each folder of images: the folder itself; its sub-folders that are named like masks; and beside each
    folder on the way up (one level above ``folder``; three for Cityscapes), the neighbours that are named like masks, with the
    same way down (``leftImg8bit/val/ulm`` -> ``gtFine/val/ulm``, ``images/a`` -> ``labels/a``). A neighbour that is named
    after another folder (``trainannot`` beside ``train``) is not searched for the images of a third. The folder with the most
    matching names wins, one inside the opened folder before one beside it, and among equals one that is called truth. A match
    is the image's stem, or the stem and one ending such as ``_mask`` or ``_gtFine_labelIds``.

    Args:
        folder: the opened folder.
        images: paths relative to it, with ``/``, as :func:`deeplab_core.images.find_images` lists them.
        layout: take only this layout; ``"auto"`` takes any.
        truth_folder: a folder chosen by a person, searched recursively instead: same relative path first, then a unique stem.
        catalog: decides between Cityscapes' ``labelTrainIds`` (cityscapes19) and ``labelIds`` (any other).

    Raises:
        MaskFormatError: the chosen folder cannot be opened, or an unknown layout.
    """
    if layout not in get_args(Layout):
        raise MaskFormatError(f"there is no truth layout '{layout}'", remedy=f"Choose one of {', '.join(get_args(Layout))}")
    root = Path(os.path.abspath(folder))  # noqa: PTH100 -- Path.resolve would follow links out of the layout
    wanted = list(images)
    kinds = _CITYSCAPES_KINDS["cityscapes19" if catalog is not None and catalog.name == "cityscapes19" else "other"]
    if truth_folder is not None:
        return _in_chosen_folder(Path(truth_folder), root, wanted, kinds)
    groups: dict[str, list[str]] = defaultdict(list)
    for image in wanted:
        groups[_place(image)].append(image)
    listings = _Listings(root, wanted)
    files: dict[str, Path] = {}
    problems: list[TruthProblem] = []
    votes: dict[Layout, int] = defaultdict(int)
    folders: dict[Path, None] = {}
    for place, members in groups.items():
        best = _best_candidate(listings, root, root / place, members, layout, kinds)
        if best is None:
            continue
        files.update(best.files)
        problems += best.problems
        if best.files:
            votes[best.layout] += len(best.files)
            folders[best.folder] = None
    return TruthIndex(
        files=files,
        layout=max(votes, key=lambda name: votes[name]) if votes else "none",
        folders=tuple(folders),
        missing=tuple(image for image in wanted if image not in files),
        problems=tuple(problems),
    )


@dataclass(slots=True)
class _Candidate:
    folder: Path
    layout: Layout
    affinity: int
    outspoken: bool = False
    inside: bool = True
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[TruthProblem] = field(default_factory=list)


#: Folder and name of a possible truth file: paths are made only of the few that are chosen.
_File = tuple[Path, str]


class _Listings:
    """Directory contents, each read once."""

    def __init__(self, root: Path, images: Sequence[str]) -> None:
        # By their real folders: a linked copy of the photographs is no folder of masks, whatever its name.
        real = {place: os.path.realpath(root / place) for place in {_place(image) for image in images}}
        self._photographs = {(real[_place(image)], _name(image)) for image in images}
        self._masks: dict[Path, dict[str, list[_File]]] = {}
        self._folders: dict[Path, list[str]] = {}

    def masks(self, folder: Path) -> dict[str, list[_File]]:
        """Possible truth files of a folder, by their own stem and by the stem they point to."""
        if folder not in self._masks:
            found: dict[str, list[_File]] = defaultdict(list)
            real = os.path.realpath(folder)
            for name in _names(folder, folders=False):
                own, suffix = _split(name)
                if suffix in _TRUTH_SUFFIXES and (real, name) not in self._photographs:
                    for stem in {own, mask_stem(own)}:
                        found[stem].append((folder, name))
            self._masks[folder] = found
        return self._masks[folder]

    def label_folders(self, parent: Path) -> list[str]:
        """Sub-folders that are named like class masks."""
        return [name for name in self.folders(parent) if is_label_folder(name) and not name.casefold().startswith(_NO_CLASSES)]

    def folders(self, parent: Path) -> list[str]:
        if parent not in self._folders:
            self._folders[parent] = sorted(_names(parent, folders=True))
        return self._folders[parent]


def _names(folder: Path, *, folders: bool) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir() == folders]
    except OSError:  # a candidate that is not there, or may not be opened, holds no truth
        return []


def _best_candidate(
    listings: _Listings, root: Path, place: Path, images: list[str], layout: Layout, kinds: tuple[str, ...]
) -> _Candidate | None:
    found: list[_Candidate] = []
    for candidate in _candidates(listings, root, place):
        masks = listings.masks(candidate.folder)
        for image in images:
            _match(image, masks, candidate, kinds)
        if (candidate.files or candidate.problems) and layout in ("auto", candidate.layout):
            found.append(candidate)
    if not found:
        return None
    most = max(len(candidate.files) for candidate in found)
    # Of the folders that are no mere fragment: inside the opened folder, named after the images' own, most files, called truth.
    ranks = [(2 * len(item.files) >= most, item.inside, item.affinity, len(item.files), item.outspoken) for item in found]
    best = found[ranks.index(max(ranks))]
    rivals = [item for item, rank in zip(found, ranks, strict=True) if item is not best and rank == max(ranks)]
    if rivals:
        others = " and ".join(str(item.folder) for item in rivals)
        best.problems.append(TruthProblem(images[0], f"Truth is taken from {best.folder}; {others} would fit as well"))
    return best


def _candidates(listings: _Listings, root: Path, place: Path) -> Iterator[_Candidate]:
    yield _candidate(place, place, affinity=2)
    for name in listings.label_folders(place):
        yield _candidate(place / name, place / name, affinity=2)
    ancestor, way_down, above = place, PurePosixPath(), 0
    while ancestor.parent != ancestor:
        parent = ancestor.parent
        neighbours = set(listings.folders(parent))
        for name in listings.label_folders(parent):
            if name == ancestor.name or _belongs_to_another(name, ancestor.name, neighbours):
                continue
            candidate = _candidate(parent / name / way_down, parent / name, affinity=_affinity(name, ancestor.name))
            candidate.inside = not above and ancestor != root
            if above < _LEVELS_ABOVE.get(candidate.layout, _LEVELS_ABOVE_OTHERS):
                yield candidate
        above += ancestor == root or above > 0
        if above >= max(_LEVELS_ABOVE.values()):
            return
        way_down = PurePosixPath(ancestor.name) / way_down
        ancestor = parent


def _candidate(folder: Path, named: Path, affinity: int) -> _Candidate:
    lower = named.name.casefold()
    layout: Layout = "same_stem"
    if lower.startswith(("gtfine", "gtcoarse")):
        layout = "cityscapes"
    elif lower.startswith("segmentationclass"):
        layout = "voc"
    elif lower.endswith("annot"):
        layout = "camvid"
    # 'masks' may hold anything, a model's answers too; 'truth' says what it holds.
    outspoken = "truth" in lower or lower in ("gt", "gts")
    return _Candidate(folder=folder, layout=layout, affinity=affinity, outspoken=outspoken)


def _affinity(name: str, photographs: str) -> int:
    """2: named after the folder of photographs; 1: the class masks of a known layout; 0: any folder of masks."""
    lower = name.casefold()
    if photographs.casefold() in lower:
        return 2
    return 1 if lower in ("segmentationclass", "gtfine", "labels") else 0


def _belongs_to_another(name: str, own: str, neighbours: set[str]) -> bool:
    """Whether a folder of masks is named after another folder of photographs: ``trainannot`` where ``train`` is not ours."""
    lower = name.casefold()
    if lower.startswith(own.casefold()):
        return False
    return any(
        lower.startswith(other.casefold()) and not is_label_folder(other) and other not in (own, name) for other in neighbours
    )


def _match(image: str, masks: dict[str, list[_File]], candidate: _Candidate, kinds: tuple[str, ...]) -> None:
    own, _ = _split(_name(image))
    stem = photo_stem(own)
    rivals = masks.get(own) or masks.get(stem)
    if not rivals:
        return
    chosen = _preferred(rivals, stem, kinds)
    if len(chosen) == 1:
        folder, name = chosen[0]
        candidate.files[image] = folder / name
    elif chosen:
        names = " and ".join(sorted({name for _, name in chosen}))
        folders = " and ".join(sorted({str(folder) for folder, _ in chosen}))
        candidate.problems.append(TruthProblem(image, f"{names} in {folders} claim to be its truth; keep one"))


def _preferred(files: list[_File], stem: str, kinds: tuple[str, ...]) -> list[_File]:
    """The best of several files for one image; more than one where nothing tells them apart."""
    if len(files) == 1 and files[0][1] == f"{stem}.png":
        return files
    ranked: dict[int, list[_File]] = defaultdict(list)
    for file in files:
        own, suffix = _split(file[1])
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


def _place(image: str) -> str:
    return image.rpartition("/")[0]


def _name(image: str) -> str:
    return image.rpartition("/")[2]


def _split(name: str) -> tuple[str, str]:
    """Stem and lower-case ending of a file name."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix.lower()}") if stem else (dot + suffix, "")


def _in_chosen_folder(truth_folder: Path, root: Path, images: list[str], kinds: tuple[str, ...]) -> TruthIndex:
    if not truth_folder.is_dir():
        raise MaskFormatError("the truth folder does not exist", remedy="Choose another folder", path=truth_folder)
    truth_folder = Path(os.path.abspath(truth_folder))  # noqa: PTH100
    listings = _Listings(root, images)
    anywhere: dict[str, list[_File]] = defaultdict(list)
    for place, below, _files in os.walk(truth_folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for stem, files in listings.masks(Path(place)).items():
            anywhere[stem] += files
    result = _Candidate(folder=truth_folder, layout="chosen", affinity=0)
    for image in images:
        before = len(result.files) + len(result.problems)
        _match(image, listings.masks(truth_folder / _place(image)), result, kinds)
        if len(result.files) + len(result.problems) == before:
            _match(image, anywhere, result, kinds)
    return TruthIndex(
        files=result.files,
        layout="chosen" if result.files else "none",
        folders=(truth_folder,) if result.files else (),
        missing=tuple(image for image in images if image not in result.files),
        problems=tuple(result.problems),
    )
