"""What a network is trained on: images and their masks, whatever data set they come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets import GroundTruthFiles, TruthSurvey, survey_truth
from deeplab_core.datasets.find import scan_folder
from deeplab_core.errors import AtrousError, MaskFormatError, message
from deeplab_core.images import read_image
from deeplab_core.images.split_list import read_split
from deeplab_core.labels import LabelMap
from deeplab_core.masks.frames import MASK_FRAMES, Frame
from deeplab_core.masks.read import MaskData, load_mask
from deeplab_core.notes import Note
from deeplab_core.wording import name_some


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its truth.

    Attributes:
        image: the photograph.
        mask: file of the labels, in the catalog's ids.
        labels: gives the labels instead, (H, W) in the oriented frame; the corrected masks of a project come this way.
        name: what reports call it.
        frame: frame of the photograph that ``mask`` is stored in; see :func:`deeplab_core.masks.read_mask`.
    """

    image: Path
    mask: Path
    labels: Callable[[], LabelMap] | None = None
    name: str = ""
    frame: Frame = "auto"

    def read(self, catalog: ClassCatalog) -> tuple[NDArray[np.uint8], LabelMap]:
        """The oriented image (H, W, 3) uint8 and its (H, W) labels, void where a pixel does not count.

        Raises:
            ImageReadError, MaskFormatError: with the file at fault.
        """
        rgb, labels, _, _ = self.load(catalog)
        return rgb, labels

    def load(self, catalog: ClassCatalog) -> tuple[NDArray[np.uint8], LabelMap, tuple[Note, ...], tuple[Note, ...]]:
        """As :meth:`read`, with the notes of the image and those of the mask."""
        image = read_image(self.image)
        mask = MaskData(self.labels()) if self.labels else load_mask(self.mask, catalog, image.info, frame=self.frame)
        labels = mask.labels
        if labels.shape != image.rgb.shape[:2]:
            raise MaskFormatError(
                message(
                    "the mask is {mask_width}x{mask_height}, the image {width}x{height}",
                    mask_width=labels.shape[1],
                    mask_height=labels.shape[0],
                    width=image.rgb.shape[1],
                    height=image.rgb.shape[0],
                ),
                remedy=message("Put the mask of this image here"),
                path=self.mask,
            )
        return image.rgb, labels, image.notes, mask.notes


_KEYS = ("images", "truth", "include", "exclude", "split", "mask_frame", "allow_predicted_truth")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """A folder of images and where its masks are; VOC, Cityscapes, CamVid and plain folder pairs are all found this way.

    Attributes:
        images: the folder, searched recursively.
        truth: folder of the masks; None looks around ``images`` as the window does.
        include, exclude: shell patterns on the relative path; an image must match one of ``include`` (if any) and none of
            ``exclude``. CamVid's sequences are distinguished by them.
        split: list of images (VOC's ``ImageSets/Segmentation/train.txt``), see
            :func:`deeplab_core.images.split_list.read_split`; None takes all.
        frame: frame of the photographs that the masks are stored in; ``mask_frame = "stored"`` or ``"displayed"`` in TOML.
        allow_predicted: train on masks of ``truth`` also if 'predict' or 'refine' wrote them; ``allow_predicted_truth`` in TOML.
    """

    images: Path
    truth: Path | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    split: Path | None = None
    frame: Frame = "auto"
    allow_predicted: bool = False

    @classmethod
    def from_table(cls, table: dict[str, Any], base: Path) -> DataSource:
        """From a TOML table; relative paths are taken from ``base``.

        Raises:
            AtrousError: unknown or missing keys.
        """
        unknown = sorted(set(table) - set(_KEYS))
        if unknown or "images" not in table:
            what = message("unknown key '{unknown}'", unknown=unknown[0]) if unknown else message("no 'images'")
            raise AtrousError(
                message("training data: {what}", what=what), remedy=message("Keys are {keys}", keys=", ".join(_KEYS))
            )
        frame = table.get("mask_frame", "auto")
        if frame != "auto" and frame not in MASK_FRAMES:
            raise AtrousError(
                message("training data: mask_frame = {frame}", frame=repr(frame)),
                remedy=message("Choose {choices}", choices=" or ".join(MASK_FRAMES)),
            )

        def place(key: str) -> Path | None:
            return base / Path(str(table[key])).expanduser() if table.get(key) else None

        def patterns(key: str) -> tuple[str, ...]:
            value = table.get(key, ())
            return (value,) if isinstance(value, str) else tuple(str(part) for part in value)

        images = place("images")
        assert images is not None
        return cls(
            images=images,
            truth=place("truth"),
            include=patterns("include"),
            exclude=patterns("exclude"),
            split=place("split"),
            frame=MASK_FRAMES.get(frame, "auto"),
            allow_predicted=table.get("allow_predicted_truth") is True,
        )

    def to_table(self) -> dict[str, Any]:
        """What :meth:`from_table` reads, with absolute paths."""
        paths = {"images": self.images, "truth": self.truth, "split": self.split}
        table: dict[str, Any] = {key: str(path.absolute()) for key, path in paths.items() if path is not None}
        patterns = {"include": self.include, "exclude": self.exclude}
        table.update((("mask_frame", name) for name, frame in MASK_FRAMES.items() if frame == self.frame))
        if self.allow_predicted:
            table["allow_predicted_truth"] = True
        return table | {key: list(value) for key, value in patterns.items() if value}

    def survey(self, catalog: ClassCatalog | None = None) -> TruthSurvey:
        """The ground truth of the chosen images and its classes; ``catalog`` is what the user named, None recognises them.

        Raises:
            AmbiguousTruthError: it was found, but is not certain.
            PredictedTruthError: ``truth`` holds predictions, and they are not allowed.
            AtrousError: a folder is missing.
        """
        return self._survey(self._chosen(), catalog)

    def without_masks(self, matched: GroundTruthFiles) -> MaskFormatError:
        """The error for images of which none has a mask in ``matched``."""
        return MaskFormatError(
            message("no image of the {count} chosen here has a mask", count=len(matched.files) + len(matched.missing)),
            why=matched.reason if self.truth is None else "",
            remedy=message("Name the folder of the masks with 'truth'"),
            path=self.images,
        )

    def _chosen(self, say: Callable[[str], None] = lambda _text: None) -> list[str]:
        if not self.images.is_dir():
            raise AtrousError(message("there is no such folder of images"), remedy=message("Check the path"), path=self.images)
        scan = scan_folder(self.images)
        for sentence in scan.left_out(masks=False):
            say(f"{self.images}: {sentence}")
        names = [name for name in scan.images if self._takes(name)]
        return names if self.split is None else self._listed(self.split, scan.images, names, say)

    def _survey(self, names: list[str], catalog: ClassCatalog | None) -> TruthSurvey:
        found = survey_truth(self.images, names, truth_folder=self.truth, catalog=catalog, allow_predicted=self.allow_predicted)
        found.matched.check_certain("--truth DIR (--val-truth for validation images, 'truth' in a recipe)")
        return found

    def samples(
        self,
        catalog: ClassCatalog,
        say: Callable[[str], None] = lambda _text: None,
        found_truth: Callable[[GroundTruthFiles], None] = lambda _index: None,
    ) -> list[Sample]:
        """The images that have a mask, in natural order.

        Args:
            catalog: classes of the masks.
            say: is called with the images that have no mask, and what else is left out.
            found_truth: hears where the masks lie.

        Raises:
            AmbiguousTruthError, PredictedTruthError: see :meth:`survey`.
            AtrousError: the folder is missing or no image of it has a mask.
        """
        names = self._chosen(say)
        matched = self._survey(names, catalog).matched
        if matched.files:
            found_truth(matched)
        # Masks may lie among the images; they are not photographs that lack one.
        masks = {os.path.abspath(mask) for mask in matched.files.values()}  # noqa: PTH100  (links stay as they are)
        names = [name for name in names if os.path.abspath(self.images / name) not in masks]  # noqa: PTH100
        with_mask = [name for name in names if name in matched.files]
        found = [Sample(self.images / name, matched.files[name], name=name, frame=self.frame) for name in with_mask]
        if not found:
            raise self.without_masks(matched)
        bare = [name for name in names if name not in matched.files]
        if bare:
            have = "has" if len(bare) == 1 else "have"
            say(f"{self.images}: {len(found)} of {len(names)} images can be used; {len(bare)} {have} no mask ({some(bare)})")
        return found

    def _takes(self, name: str) -> bool:
        if self.include and not fits(name, self.include):
            return False
        return not fits(name, self.exclude)

    def _listed(self, split: Path, images: Sequence[str], names: list[str], say: Callable[[str], None]) -> list[str]:
        """Those of ``names`` that the list names; ``say`` hears every line of it that fits no image of the folder."""
        found = read_split(split, images, error=AtrousError)
        if not found.images:
            raise AtrousError(
                message("none of the {count} images of the list is in {folder}", count=len(found.missing), folder=self.images),
                why=message("It begins with {missing}", missing=some(found.missing)),
                remedy=message("Check that list and folder belong together"),
                path=split,
            )
        if found.missing:
            more = f" and {len(found.missing) - _NAMED:,} more" if len(found.missing) > _NAMED else ""
            are = "is" if len(found.missing) == 1 else "are"
            say(f"{split}: {', '.join(found.missing[:_NAMED])}{more} {are} in the list but not in {self.images}")
        listed = set(found.images)
        return [name for name in names if name in listed]


#: Lines of a list that fit no image are named up to so many.
_NAMED = 50


def some(names: Sequence[str]) -> str:
    """The first three of several names, and how many more there are."""
    return name_some(names, 3)


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a relative path, or its last part alone, matches one of these shell patterns."""
    base = name.rsplit("/", 1)[-1]
    return any(fnmatch(name, pattern) or fnmatch(base, pattern) for pattern in patterns)


@dataclass(slots=True)
class BadFiles:
    """Files that could not be used, each said once."""

    say: Callable[[str], None] = lambda _text: None
    named: dict[str, str] = field(default_factory=dict)

    def add(self, sample: Sample, error: AtrousError) -> None:
        """Remember a file; the first time it is reported."""
        key = str(sample.image)
        if key not in self.named:
            self.named[key] = str(error)
            self.say(f"skipped: {error if error.path is not None else f'{sample.image}: {error}'}")
