"""Finding the ground truth of photographs: PASCAL VOC, Cityscapes, CamVid, same-stem files, or a folder that the user names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.truth_candidates import (
    CITYSCAPES_KINDS,
    Candidate,
    Layout,
    Listings,
    TruthProblem,
    candidates,
    place_of,
)
from deeplab_core.datasets.truth_checks import Origins, check_truth_folder, contents_refusal, refuse_predicted, refuse_project
from deeplab_core.errors import AmbiguousTruthError, MaskFormatError, join_messages, message, plural_message
from deeplab_core.images.file_names import is_passed_over
from deeplab_core.masks.output_marker import OutputMarker

#: Affinity of a folder that is named after the images' own, or is inside it.
_NAMED_AFTER = 2

__all__ = ["GroundTruthFiles", "Layout", "TruthAlternative", "TruthProblem", "check_truth_folder", "find_truth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthAlternative:
    """A folder with masks of the names of the images.

    Attributes:
        folder: what to name as ground truth to get it.
        matches: how many images have a mask there.
        taken: whether files of it are matched.
        possible: whether it may be ground truth at all: no output of Atrous, no photographs, ids of the catalog.
        why: why it was taken or not, in words.
        marker: what Atrous wrote about it, None for other folders.
    """

    folder: Path
    matches: int
    taken: bool
    possible: bool
    why: str
    marker: OutputMarker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruthFiles:
    """Which ground truth file belongs to which image.

    Attributes:
        files: relative image path -> ground truth file. Whether each can be read is checked when it is read.
        layout: ``"voc"``, ``"cityscapes"``, ``"camvid"``, ``"same_stem"`` or ``"chosen"``; of several, the one with the most
            images; ``"none"`` if nothing was found.
        folders: folders in which ground truth was found.
        missing: images without ground truth.
        problems: ambiguities, with both names.
        certain: False if another folder fits as well, or the folder may as well hold predictions: ask before you use the
            files. True if nothing was found.
        reason: what the choice rests on, or why it is not certain, or why nothing was taken, in words.
        alternatives: every folder with masks of these names, the taken ones first, then by matches.
        marker: of a named folder that Atrous wrote: its counts are those of the files that were taken.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    layout: Layout = "none"
    folders: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()
    problems: tuple[TruthProblem, ...] = ()
    certain: bool = True
    reason: str = ""
    alternatives: tuple[TruthAlternative, ...] = ()
    marker: OutputMarker | None = None

    def __len__(self) -> int:
        return len(self.files)

    def get(self, image: str) -> Path | None:
        """Ground truth file of an image, or None."""
        return self.files.get(image)

    def check_certain(self, option: str = "--truth DIR") -> None:
        """Raise AmbiguousTruthError, with the folders to choose from and the option that names one, unless it is certain."""
        if not self.certain:
            folders = " or ".join(str(entry.folder) for entry in self.alternatives if entry.possible)
            raise AmbiguousTruthError(
                message("the ground truth is not certain"),
                why=self.reason,
                remedy=message("Name it with {option}: {folders}", option=option, folders=folders),
            )


def find_truth(
    folder: str | Path,
    images: Iterable[str],
    layout: Layout = "auto",
    *,
    truth_folder: str | Path | None = None,
    catalog: ClassCatalog | None = None,
    allow_predicted: bool = False,
    leave_out: str | Path | None = None,
) -> GroundTruthFiles:
    """Find the ground truth file of each image.

    Looked through, for each folder of images: the folder itself; its sub-folders that are named like masks; and beside each
    folder on the way up (one level above ``folder``; three for Cityscapes), the neighbours that are named like masks, with the
    same way down (``leftImg8bit/val/ulm`` -> ``gtFine/val/ulm``, ``images/a`` -> ``labels/a``). A neighbour that is named
    after another folder (``trainannot`` beside ``train``) is not searched for the images of a third. A match is the image's
    stem, or the stem and one ending such as ``_mask`` or ``_gtFine_labelIds``.

    Never found are folders that Atrous wrote (their marker is in them or above them), the data of projects, and folders
    without label maps of the catalog. Of the others the one with the most matching names wins. The answer is not
    certain (:attr:`GroundTruthFiles.certain`) if another folder matches as many, if two folders hold the masks of different
    images (``labels/train`` and ``masks/val``), or if nothing but the name of the images' folder speaks for the winner
    (``photos_masks`` beside ``photos``, which older versions exported to).

    Args:
        folder: the opened folder.
        images: paths relative to it, with ``/``, as :func:`deeplab_core.images.find_images` lists them.
        layout: take only this layout; ``"auto"`` takes any.
        truth_folder: a folder that the user names, searched recursively instead: same relative path first, then a unique stem.
            An export of Atrous is accepted, and its marker comes with the files.
        catalog: what the masks must declare; also decides between Cityscapes' ``labelTrainIds`` (cityscapes19) and
            ``labelIds`` (any other). None only tells label maps from photographs.
        allow_predicted: accept a ``truth_folder`` of predictions or refined masks.
        leave_out: a folder that is not found: the masks that shall be compared with the ground truth.

    Raises:
        MaskFormatError: the named folder cannot be opened, or an unknown layout.
        PredictedTruthError: the named folder holds predictions or refined masks that Atrous wrote.
    """
    if layout not in get_args(Layout):
        raise MaskFormatError(
            message("there is no truth layout '{layout}'", layout=layout),
            remedy=message("Choose one of {layout}", layout=", ".join(get_args(Layout))),
        )
    root = Path(os.path.abspath(folder))  # noqa: PTH100 -- Path.resolve would follow links out of the layout
    wanted = list(images)
    kinds = CITYSCAPES_KINDS["cityscapes19" if catalog is not None and catalog.name == "cityscapes19" else "other"]
    if truth_folder is not None:
        return _in_named_folder(Path(truth_folder), root, wanted, kinds, allow_predicted=allow_predicted)
    search = _Search(root, wanted, layout, kinds, catalog, leave_out)
    return search.run()


def _mixture(chosen: list[Candidate]) -> list[str]:
    """The doubt where two folders hold masks of different images, and neither is named after its images nor after a data set.

    ``labels/train`` beside ``masks/val``: the second may well be predictions.
    """
    parts: dict[Path, int] = defaultdict(int)
    for candidate in chosen:
        if candidate.files and candidate.affinity < _NAMED_AFTER and candidate.layout != "cityscapes":
            parts[candidate.named] += len(candidate.files)
    if len(parts) < 2:
        return []
    folders = _all_of(f"{named} ({count:,})" for named, count in parts.items())
    return [message("{folders} hold masks of different images", folders=folders)]


def _all_of(names: Iterable[str]) -> str:
    """Names in a row: ``"a and b and c"``."""
    shown, *further = names
    for name in further:
        shown = message("{names} and {name}", names=shown, name=name)
    return shown


class _Source:
    """Candidates that stand or fall together: one folder of masks for all folders of images."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.candidates: list[Candidate] = []
        self.refusal = ""
        self.marker: OutputMarker | None = None
        self.taken = 0
        self.why = ""

    @property
    def matches(self) -> int:
        return sum(len(candidate.files) for candidate in self.candidates)

    def folder(self, root: Path) -> Path:
        """What to name to get it: the folder itself, or the opened one for masks spread over it."""
        named = {candidate.named for candidate in self.candidates}
        return named.pop() if len(named) == 1 else root


class _Search:
    def __init__(
        self,
        root: Path,
        images: list[str],
        layout: Layout,
        kinds: tuple[str, ...],
        catalog: ClassCatalog | None,
        leave_out: str | Path | None,
    ) -> None:
        self._left_out = None if leave_out is None else Path(os.path.realpath(leave_out))
        self._root, self._images, self._layout, self._kinds, self._catalog = root, images, layout, kinds, catalog
        self._origins = Origins()
        self._sources: dict[str, _Source] = {}

    def run(self) -> GroundTruthFiles:
        groups = self._matches()
        for source in self._sources.values():
            self._assess(source)
        uncertain: dict[str, None] = {}
        chosen: list[Candidate] = []
        problems: list[TruthProblem] = []
        for found in groups:
            usable = [candidate for candidate in found if not self._sources[candidate.source].refusal]
            usable = [candidate for candidate in usable if candidate.files or candidate.problems]
            if not usable:
                continue
            best, rivals = self._best(usable)
            chosen.append(best)
            problems += best.problems
            if best.files:
                uncertain.update(dict.fromkeys(self._uncertainties(best, rivals, problems)))
        uncertain.update(dict.fromkeys(_mixture(chosen)))
        return self._matched(chosen, problems, list(uncertain))

    def _matches(self) -> list[list[Candidate]]:
        """For every folder of images the candidates that have a mask for one of them."""
        by_place: dict[str, list[str]] = defaultdict(list)
        for image in self._images:
            by_place[place_of(image)].append(image)
        listings = Listings(self._root, self._images)
        groups = []
        for place, members in by_place.items():
            group = []
            for candidate in candidates(listings, self._root, self._root / place):
                masks = listings.masks(candidate.folder)
                for image in members if masks else ():
                    candidate.match(image, masks, self._kinds)
                if (candidate.files or candidate.problems) and self._layout in ("auto", candidate.layout):
                    group.append(candidate)
                    self._sources.setdefault(candidate.source, _Source(candidate.source)).candidates.append(candidate)
            groups.append(group)
        return groups

    def _assess(self, source: _Source) -> None:
        """Leave out what Atrous wrote, then look into a few files of the rest."""
        compared = False
        for candidate in source.candidates:
            if self._is_left_out(candidate.folder):
                compared = True
                candidate.files.clear()
                candidate.problems.clear()
            self._drop_own(source, candidate)
        files = [path for candidate in source.candidates for path in candidate.files.values()]
        if files:
            source.refusal = contents_refusal(files, self._catalog)
        elif compared:
            source.refusal = message("it holds the masks that are to be compared with the ground truth")
        elif source.marker is not None:
            source.refusal = message("it holds {what}", what=source.marker.text())
        elif any(self._origins.in_project(candidate.folder, self._root) for candidate in source.candidates):
            source.refusal = message("it is a part of a project of Atrous")

    def _is_left_out(self, folder: Path) -> bool:
        if self._left_out is None:
            return False
        real, root = Path(os.path.realpath(folder)), Path(os.path.realpath(self._root))
        holds_images = self._left_out == root or self._left_out in root.parents
        return real == self._left_out or (self._left_out in real.parents and not holds_images)

    def _drop_own(self, source: _Source, candidate: Candidate) -> None:
        if self._origins.in_project(candidate.folder, self._root):
            lost = list(candidate.files)
        elif not self._origins.above(candidate.folder) and not any(path.is_symlink() for path in candidate.files.values()):
            return
        else:
            lost = []
            for image, path in candidate.files.items():
                if path.is_symlink() and self._origins.in_project(Path(os.path.realpath(path)).parent, self._root):
                    lost.append(image)
                    continue
                marker = self._origins.writer_of(path, self._root, image)
                if marker is not None:
                    source.marker = source.marker or marker
                    lost.append(image)
        for image in lost:
            del candidate.files[image]
        if lost and not candidate.files:
            candidate.problems.clear()

    def _best(self, found: list[Candidate]) -> tuple[Candidate, list[Candidate]]:
        """The candidate with the most matches, and those that match as many."""

        def matches(candidate: Candidate) -> tuple[int, int]:
            return len(candidate.files), self._sources[candidate.source].matches

        most = max(matches(candidate) for candidate in found)
        equal = [candidate for candidate in found if matches(candidate) == most]
        best = max(equal, key=lambda item: (not item.borrowed, item.inside, item.affinity, item.outspoken))
        rivals = [
            item for item in equal if item is not best and not (item.layout == best.layout == "cityscapes" and not item.affinity)
        ]
        return best, rivals

    def _uncertainties(self, best: Candidate, rivals: list[Candidate], problems: list[TruthProblem]) -> list[str]:
        uncertain: list[str] = []
        if rivals:
            folders = _all_of(str(item.named) for item in (best, *rivals))
            uncertain.append(message("{folders} have as many masks for these images", folders=folders))
            alike = [item for item in rivals if self._rank(item) == self._rank(best)]
            if alike:
                image, others = next(iter(best.files)), _all_of(str(item.folder) for item in alike)
                text = message(
                    "Ground truth is taken from {folder}; {others} would fit as well", folder=best.folder, others=others
                )
                problems.append(TruthProblem(image, text))
        if best.borrowed:
            uncertain.append(
                message(
                    "{folder} is only named after the images: it may hold predictions, or masks that Atrous exported",
                    folder=best.named,
                )
            )
        return uncertain

    @staticmethod
    def _rank(candidate: Candidate) -> tuple[bool, int, bool]:
        return candidate.inside, candidate.affinity, candidate.outspoken

    def _matched(self, chosen: list[Candidate], problems: list[TruthProblem], uncertain: list[str]) -> GroundTruthFiles:
        files: dict[str, Path] = {}
        votes: dict[Layout, int] = defaultdict(int)
        for candidate in chosen:
            files.update(candidate.files)
            votes[candidate.layout] += len(candidate.files)
            self._sources[candidate.source].taken += len(candidate.files)
        alternatives = self._alternatives()
        taken = [entry for entry in alternatives if entry.taken]
        refused = [entry for entry in alternatives if not entry.possible]
        if uncertain:
            reason = join_messages(uncertain, "; ")
        elif taken:
            where, files_text = _all_of(str(entry.folder) for entry in taken), f"{len(files):,}"
            images = plural_message("{n} image", "{n} images", len(self._images))
            reason = message("{where} have the names of {files} of {images}", where=where, files=files_text, images=images)
            if len(taken) == 1:
                reason = message("{where} has the names of {files} of {images}", where=where, files=files_text, images=images)
        else:
            whys = [message("{folder} is not ground truth: {why}", folder=entry.folder, why=entry.why) for entry in refused]
            reason = join_messages(whys, "; ")
        return GroundTruthFiles(
            files=files,
            layout=max(votes, key=lambda name: votes[name]) if files else "none",
            folders=tuple(dict.fromkeys(candidate.folder for candidate in chosen if candidate.files)),
            missing=tuple(image for image in self._images if image not in files),
            problems=tuple(problems),
            certain=not uncertain,
            reason=reason,
            alternatives=alternatives,
        )

    def _alternatives(self) -> tuple[TruthAlternative, ...]:
        found = []
        for source in self._sources.values():
            matches = source.matches
            if source.refusal:
                why = source.refusal
            elif source.taken:
                why = message("it has the names of {images}", images=plural_message("{n} image", "{n} images", source.taken))
            elif matches:
                images = plural_message("{n} image", "{n} images", matches)
                why = message("it has the names of {images}, no more than another folder", images=images)
            else:
                continue
            found.append(
                TruthAlternative(
                    folder=source.folder(self._root),
                    matches=matches,
                    taken=bool(source.taken),
                    possible=not source.refusal,
                    why=why,
                    marker=source.marker,
                )
            )
        return tuple(sorted(found, key=lambda entry: (not entry.taken, not entry.possible, -entry.matches, str(entry.folder))))


def _in_named_folder(
    truth_folder: Path, root: Path, images: list[str], kinds: tuple[str, ...], *, allow_predicted: bool
) -> GroundTruthFiles:
    if not truth_folder.is_dir():
        raise MaskFormatError(
            message("the folder of the ground truth does not exist"), remedy=message("Choose another folder"), path=truth_folder
        )
    truth_folder = Path(os.path.abspath(truth_folder))  # noqa: PTH100
    listings, origins = Listings(root, images), Origins()
    if not allow_predicted and origins.in_project(truth_folder, root):
        raise refuse_project(truth_folder)
    places = []
    for place, below, _files in os.walk(truth_folder):
        below[:] = sorted(name for name in below if not is_passed_over(name))
        places.append(Path(place))
    predicted = [] if allow_predicted else [place for place in places if _is_predicted(place, origins, root)]
    # Predictions somewhere below a folder of ground truth: the rest of it is searched.
    result = _match_named(truth_folder, [place for place in places if place not in predicted], images, listings, kinds)
    if not allow_predicted:
        ours = _without_ours(result, origins, root)
        if not result.files and (predicted or ours):
            writer = next(iter(ours.values()), None) or origins.above(predicted[0])[0]
            if truth_folder in predicted or ours or _match_named(truth_folder, places, images, listings, kinds).files:
                raise refuse_predicted(writer, truth_folder)
    marker = _marker_of(result.files, origins, root)
    named = message(
        "{folder} was named, and has the names of {files} of {images}",
        folder=truth_folder,
        files=f"{len(result.files):,}",
        images=plural_message("{n} image", "{n} images", len(images)),
    )
    reason = join_messages((named, *_named_notes(marker, predicted if result.files else [])), "; ")
    return GroundTruthFiles(
        files=result.files,
        layout="chosen" if result.files else "none",
        folders=(truth_folder,) if result.files else (),
        missing=tuple(image for image in images if image not in result.files),
        problems=tuple(result.problems),
        reason=reason,
        marker=marker,
    )


def _without_ours(result: Candidate, origins: Origins, root: Path) -> dict[str, OutputMarker]:
    """Drop masks that a model made from a match, and return who made them, by image. Exported masks are corrected ones."""
    ours = {
        image: marker
        for image, path in result.files.items()
        if (marker := origins.writer_of(path, root, image)) is not None and marker.kind != "export"
    }
    result.files = {image: path for image, path in result.files.items() if image not in ours}
    return ours


def _named_notes(marker: OutputMarker | None, left_out: list[Path]) -> list[str]:
    """What else there is to say of a folder that was named."""
    notes: list[str] = []
    if left_out:
        notes.append(message("masks that Atrous predicted in {folder} were left out", folder=left_out[0]))
    if marker is not None:
        what = marker.text()
        notes.append(message("it is {what}", what=what) if marker.kind == "export" else message("it holds {what}", what=what))
    return notes


def _match_named(
    truth_folder: Path, places: list[Path], images: list[str], listings: Listings, kinds: tuple[str, ...]
) -> Candidate:
    anywhere: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    for place in places:
        for stem, files in listings.masks(place).items():
            anywhere[stem] += files
    searched = set(places)
    result = Candidate(folder=truth_folder, source=str(truth_folder), named=truth_folder, layout="chosen")
    for image in images:
        before = len(result.files) + len(result.problems)
        mirrored = truth_folder / place_of(image)
        if mirrored in searched:
            result.match(image, listings.masks(mirrored), kinds)
        if len(result.files) + len(result.problems) == before:
            result.match(image, anywhere, kinds)
    return result


def _is_predicted(place: Path, origins: Origins, root: Path) -> bool:
    """Whether everything in a folder is predicted: its nearest marker records it, and the photographs are elsewhere."""
    opened = Path(os.path.realpath(root))
    marker = next(iter(origins.above(place)), None)
    return marker is not None and marker.kind != "export" and marker.folder != opened and marker.folder not in opened.parents


def _marker_of(files: Mapping[str, Path], origins: Origins, root: Path) -> OutputMarker | None:
    """What the taken files' markers say together; the kind farthest from a user's work speaks for all."""
    by_marker: dict[Path, tuple[OutputMarker, list[Path]]] = {}
    for image, path in files.items():
        marker = origins.writer_of(path, root, image)
        if marker is not None:
            real = Path(os.path.realpath(path.parent)) / path.name
            by_marker.setdefault(marker.folder, (marker, []))[1].append(real)
    if not by_marker:
        return None
    parts = [marker.only(files) if marker.complete else marker for marker, files in by_marker.values()]
    first = min(parts, key=lambda marker: ("prediction", "refined", "export").index(marker.kind))
    if len(parts) == 1:
        return first
    outputs = {f"{part.folder}/{name}": entry for part in parts for name, entry in part.outputs.items()}
    return replace(first, outputs=outputs, complete=all(part.complete for part in parts))
