"""What speaks against a folder of masks as ground truth: Atrous wrote it, or its files are not label maps of the catalog."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ImageReadError, MaskFormatError, PredictedTruthError, message
from deeplab_core.masks.output_marker import OutputMarker, read_marker

#: Name of the folder that holds a project's data, and of the database in one that lies elsewhere (``--project``).
PROJECT_FOLDER = ".atrous"
PROJECT_DATABASE = "project.db"
#: Sub-folders of a project's data that hold masks.
_PROJECT_PARTS = (("masks",), ("predictions",))

#: Files of a folder that are opened, spread evenly over it.
_SAMPLES = 5
#: A label map holds fewer values or colours than this; a photograph holds more.
_MOST_VALUES = 200
_MOST_COLORS = 300


class Origins:
    """Which folders and files Atrous wrote; every folder is asked once."""

    def __init__(self) -> None:
        self._own: dict[Path, OutputMarker | None] = {}
        self._project: dict[Path, bool] = {}
        self._chains: dict[Path, tuple[Path, tuple[OutputMarker, ...]]] = {}

    def own(self, folder: Path) -> OutputMarker | None:
        """The marker in a folder itself."""
        if folder not in self._own:
            self._own[folder] = read_marker(folder)
        return self._own[folder]

    def above(self, folder: Path) -> tuple[OutputMarker, ...]:
        """The markers of a folder and of all above it, nearest first."""
        return self._chain(folder)[1]

    def _chain(self, folder: Path) -> tuple[Path, tuple[OutputMarker, ...]]:
        """The real folder, and the markers at and above it."""
        if folder not in self._chains:
            real = Path(os.path.realpath(folder))
            markers = (self.own(place) for place in (real, *real.parents))
            self._chains[folder] = real, tuple(marker for marker in markers if marker is not None)
        return self._chains[folder]

    def in_project(self, folder: Path, photographs: Path | None = None) -> bool:
        """Whether a folder is a part of a project's data.

        Args:
            photographs: the opened folder; a project at or above it (``--project``) is more than its data.
        """
        real = self._chain(folder)[0]
        if PROJECT_FOLDER in real.parts:
            return True
        opened = None if photographs is None else self._chain(photographs)[0]
        below: tuple[str, ...] = ()
        for place in (real, *real.parents):
            if self._is_project(place):
                holds_images = opened is not None and (opened == place or place in opened.parents)
                return below[:1] in _PROJECT_PARTS or (not below and not holds_images)
            below = (place.name, *below)
        return False

    def _is_project(self, place: Path) -> bool:
        if place not in self._project:
            self._project[place] = (place / PROJECT_DATABASE).is_file()
        return self._project[place]

    def writer_of(self, path: Path, photographs: Path | None, image: str = "") -> OutputMarker | None:
        """The marker that covers a mask file, or None where Atrous did not write it.

        Args:
            photographs: the opened folder. A marker at or above it covers the files that it lists, and without a list those
                that 'predict' would write there; any other marker covers everything below it. None: every marker that lists
                its files goes by them.
            image: path below ``photographs`` of the image that the mask belongs to.
        """
        if path.is_symlink():  # a link to a file that Atrous wrote is no other file
            path = Path(os.path.realpath(path))
        real, markers = self._chain(path.parent)
        if not markers:
            return None
        opened = None if photographs is None else self._chain(photographs)[0]
        for marker in markers:
            if opened is not None and opened != marker.folder and marker.folder not in opened.parents:
                return marker
            if marker.complete:
                if marker.wrote(real / path.name) or (opened is None and real == marker.folder):
                    return marker
            elif opened is None or real == marker.folder or _predicted_at(marker.folder, real / path.name, opened / image):
                return marker
        return None


def _predicted_at(folder: Path, mask: Path, image: Path) -> bool:
    """Whether 'predict -o folder' writes the mask of an image here: it keeps the image's path below one of the folders above."""
    kept = mask.relative_to(folder).with_suffix("").parts
    return image.with_suffix("").parts[-len(kept) :] == kept


def refuse_predicted(marker: OutputMarker, folder: Path) -> PredictedTruthError:
    """The error for a folder of predictions that was named as ground truth."""
    unknown = not marker.program and not marker.outputs and marker.model is None
    return PredictedTruthError(
        message("this folder is not ground truth: its marker cannot be read, so what Atrous wrote here is unknown")
        if unknown
        else message("this folder is not ground truth: it holds {contents}", contents=marker.text()),
        why=message("Figures against a model's own masks say nothing about its errors"),
        remedy=message("Name the folder of the ground truth with --truth, or add --allow-predicted-truth if you mean this one"),
        path=folder,
    )


def refuse_project(folder: Path) -> PredictedTruthError:
    """The error for the data of a project that was named as ground truth."""
    return PredictedTruthError(
        message("this folder is a part of a project of Atrous, not ground truth"),
        why=message("Its masks hold pixels of a model as well as a user's"),
        remedy=message("Export the masks with 'atrous export' and name that folder, or add --allow-predicted-truth"),
        path=folder,
    )


def check_truth_folder(folder: str | Path, *, allow_predicted: bool = False) -> OutputMarker | None:
    """Check a folder that a user names as ground truth, without a known list of images.

    Args:
        folder: searched with its sub-folders, hidden ones left out.
        allow_predicted: accept predictions and refined masks.

    Returns:
        The marker of an export (or of an accepted prediction), None for masks that Atrous did not write.

    Raises:
        PredictedTruthError: the folder, one above it or one below it holds predictions or refined masks.
        MaskFormatError: the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MaskFormatError(
            message("the folder of the ground truth does not exist"), remedy=message("Choose another folder"), path=folder
        )
    origins = Origins()
    if not allow_predicted and origins.in_project(folder):
        raise refuse_project(folder)
    found = next((marker for marker in origins.above(folder) if _covers(marker, folder)), None)
    below = [found] if found is not None else []
    for place, folders, _files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        own = origins.own(Path(place))
        if own is not None and (found is None or own.folder != found.folder):
            below.append(own)
    predicted = next((marker for marker in below if marker.kind != "export"), None)
    if predicted is not None and not allow_predicted:
        raise refuse_predicted(predicted, predicted.folder if found is None else folder)
    return predicted or (below[0] if below else None)


def _covers(marker: OutputMarker, folder: Path) -> bool:
    """Whether the folder, or a part of it, is among the outputs of a marker at or above it."""
    real = Path(os.path.realpath(folder))
    if real == marker.folder or not marker.complete:
        return True
    inside = real.relative_to(marker.folder).as_posix() + "/"
    return any(name.startswith(inside) for name in marker.outputs)


def contents_refusal(files: Sequence[Path], catalog: ClassCatalog | None) -> str:
    """Why files are not label maps, from a few of them; empty where they may be.

    More than half of the files that can be read must fail: a single broken mask is an error of its own when it is read. Files
    that cannot be read at all say nothing here.

    Args:
        catalog: what the masks must declare; None only tells label maps from photographs.
    """
    sample = [files[(2 * place + 1) * len(files) // (2 * _SAMPLES)] for place in range(_SAMPLES)] if files else []
    reasons = [_refusal(path, catalog) for path in dict.fromkeys(sample)]
    known = [reason for reason in reasons if reason is not None]
    refused = [reason for reason in known if reason]
    return refused[0] if 2 * len(refused) > len(known) else ""


def _refusal(path: Path, catalog: ClassCatalog | None) -> str | None:
    """Why one file is not a label map; empty where it is one, None where it cannot be read."""
    from deeplab_core.masks.read import interpret
    from deeplab_core.masks.stored import read_stored

    try:
        stored = read_stored(path)
    except MaskFormatError as error:
        return message("{name}: {what}", name=path.name, what=error.what) if _is_picture(path) else None
    if stored.values is not None:
        different = len(np.unique(stored.values))
        if different > _MOST_VALUES and stored.palette is None and (catalog is None or different > len(catalog) + 1):
            return message(
                "{name} looks like a photograph: it holds {different} grey values",
                name=path.name,
                different=f"{different:,}",
            )
    elif stored.colors is not None:
        wide = stored.colors[..., :3].astype(np.uint32)
        different = len(np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]))
        if different > _MOST_COLORS and (catalog is None or different > len(catalog) + 1):
            return message(
                "{name} looks like a photograph or has soft edges: it holds {different} colours",
                name=path.name,
                different=f"{different:,}",
            )
    if catalog is None:
        return ""
    try:
        interpret(stored, catalog, path)
    except MaskFormatError as error:
        return message("{name}: {what}", name=path.name, what=error.what)
    return ""


def _is_picture(path: Path) -> bool:
    """Whether a file that cannot be a mask is an image all the same; an empty or damaged one says nothing about its folder."""
    from deeplab_core.images.probe import probe_image

    try:
        probe_image(path)
    except ImageReadError:
        return False
    return True
