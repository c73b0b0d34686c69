"""The hidden file that every folder of masks written by Atrous carries.

It records that the masks come from this program, which kind they are, which classes they hold, and how much of an export was set
by no user. :func:`deeplab_core.datasets.find_truth` never finds such a folder; a user may still name it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from deeplab_core import __version__
from deeplab_core.atomic import atomic_write, make_folder
from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, CatalogError, MessageText, message, plural_message
from deeplab_core.reading import read_json

#: Name of the marker file. Hidden, so that nothing lists it as an image or a mask.
MARKER_NAME = ".atrous-output.json"
#: What ``atrous predict`` wrote before markers existed, and still writes for ``--resume``.
RUN_RECORD = "atrous-run.json"

OutputKind = Literal["prediction", "refined", "export"]

#: From what a model said to what users corrected: a folder of several kinds counts as the first of them.
_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
StoredFrame = Literal["stored", "oriented"]
_FORMAT = "atrous-output/1"
#: A marker of a million images has about 60 MB.
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Untouched:
    """How much of an exported mask no user set.

    Attributes:
        pixels: pixels that neither a user nor an import set: the model's, the CRF's and unset ones.
        whole: whether no user has worked on the image at all, nor reviewed it.
    """

    pixels: int
    whole: bool


@dataclass(frozen=True, slots=True)
class ProvenanceFile:
    """Where an export says who set each pixel of a mask.

    Attributes:
        file: path below the folder, with ``/``.
        reviewed: whether a user confirmed the whole mask.
    """

    file: str
    reviewed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputMarker:
    """What the marker of a folder says.

    Attributes:
        folder: the folder that holds the marker; its masks may be in sub-folders.
        kind: ``"prediction"``, ``"refined"`` (by the CRF) or ``"export"`` (corrected masks of a project).
        program: version of Atrous that wrote last.
        catalog: classes of the masks, None where unknown or where runs of several catalogs share the folder.
        model: id of the model card, None for exports, and where unknown or several.
        models: ids of the models with predictions in an export, sorted; empty if none is, or unknown.
        frame: frame of the photographs that the masks are stored in, None where unknown or several.
        outputs: every file below the folder, with ``/`` -> how much of it no user set; None where that was not measured.
            A format that writes one file for all images lists the images instead.
        complete: whether ``outputs`` lists everything. False for a folder of an older version, and for a damaged marker.
        others: further files with labels below the folder, such as the pictures in class colours beside ids.
        provenance: output -> the picture beside it that says who set its pixels; see :mod:`deeplab_core.masks.confirmed`.
        project_catalog: classes that the labels had in their project, where the files hold other ids; else None.
        sources: output -> its image below the folder of the images, where the format gives outputs other names.
        turned: outputs that would fit their image both as stored and as its EXIF orientation displays it, as far as known.
    """

    folder: Path
    kind: OutputKind
    program: str = __version__
    catalog: ClassCatalog | None = None
    model: str | None = None
    frame: StoredFrame | None = None
    outputs: Mapping[str, Untouched | None] = field(default_factory=dict)
    complete: bool = True
    models: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()
    provenance: Mapping[str, ProvenanceFile] = field(default_factory=dict)
    project_catalog: ClassCatalog | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    turned: frozenset[str] = frozenset()

    @property
    def images(self) -> int | None:
        """Number of images, None where unknown."""
        return len(self.outputs) if self.complete else None

    @property
    def untouched_images(self) -> int | None:
        """Images that no user worked on; None where not measured."""
        known = self._known()
        return None if known is None else sum(entry.whole for entry in known)

    @property
    def untouched_pixels(self) -> int | None:
        """Pixels that neither a user nor an import set; None where not measured."""
        known = self._known()
        return None if known is None else sum(entry.pixels for entry in known)

    def wrote(self, path: Path) -> bool:
        """Whether a file below the folder is one of its outputs. Where they are not listed, every file may be."""
        name = path.relative_to(self.folder).as_posix()
        return not self.complete or name in self.outputs or name in self.others

    def only(self, paths: Iterable[Path]) -> OutputMarker:
        """The same marker for some of the files below the folder: its counts are theirs."""
        names = {path.relative_to(self.folder).as_posix() for path in paths}
        return replace(self, outputs={name: entry for name, entry in self.outputs.items() if name in names})

    def text(self) -> MessageText:
        """What the folder is, in words: ``"predictions that Atrous wrote (rooms-voc)"``."""
        if self.kind == "export":
            number = self.untouched_images
            if number is None:
                return message("an export of Atrous; how many of its images no user touched was not recorded")
            images = len(self.outputs)
            if not number:
                return plural_message(
                    "an export of Atrous; users worked on it of its {n} image",
                    "an export of Atrous; users worked on each of its {n} images",
                    images,
                )
            return plural_message(
                "an export of Atrous; no user touched {number} of its {n} image",
                "an export of Atrous; no user touched {number} of its {n} images",
                images,
                number=f"{number:,}",
            )
        what = message("masks that Atrous refined with the CRF")
        if self.kind == "prediction":
            what = message("predictions that Atrous wrote")
        return message("{what} ({model})", what=what, model=self.model) if self.model else what

    def _known(self) -> list[Untouched] | None:
        known = [entry for entry in self.outputs.values() if entry is not None]
        return known if self.complete and len(known) == len(self.outputs) else None


def read_marker(folder: str | Path) -> OutputMarker | None:
    """The marker in ``folder`` itself, or None.

    The record of a run of an older ``atrous predict`` counts as the marker of a prediction. A marker that cannot be read still
    means that Atrous wrote the folder: it counts as a prediction of which nothing is known.
    """
    folder = Path(folder)
    for name, build in ((MARKER_NAME, _from_marker), (RUN_RECORD, _from_run_record)):
        path = folder / name
        if not path.is_file():
            continue
        data = _read(path)
        found = None if data is None else build(folder, data)
        if found is not None:
            return found
        if name == MARKER_NAME:
            return OutputMarker(folder=folder, kind="prediction", program="", complete=False)
    return None


def mark_output(
    folder: str | Path,
    kind: OutputKind,
    outputs: Mapping[str, Untouched | None],
    *,
    catalog: ClassCatalog | None,
    model: str | None = None,
    frame: StoredFrame | None = None,
    earlier: OutputMarker | None = None,
    models: Iterable[str] = (),
    others: Iterable[str] = (),
    provenance: Mapping[str, ProvenanceFile] | None = None,
    project_catalog: ClassCatalog | None = None,
    sources: Mapping[str, str] | None = None,
) -> OutputMarker:
    """Write the marker of a folder, together with what earlier runs left in it.

    Write it before the first mask, so that a run that is killed leaves no folder without a marker.

    Args:
        folder: of the masks; created if missing.
        kind: of these outputs. A folder of several kinds counts as the one farthest from a user's work.
        outputs: paths below ``folder`` with ``/``; see :class:`OutputMarker`.
        catalog, model, frame: of these outputs.
        earlier: what :func:`read_marker` said before this run began; outputs that are written again are replaced.
        models, others, provenance, project_catalog, sources: of these outputs, see :class:`OutputMarker`.

    Raises:
        StorageError: it cannot be written; no mask should be written then.
    """
    folder = Path(folder)
    kept = {} if earlier is None else {name: entry for name, entry in earlier.outputs.items() if name not in outputs}
    complete = earlier is None or earlier.complete
    if earlier is not None and (kept or not complete):
        kind = min(kind, earlier.kind, key=_KINDS.index)
        catalog = catalog if _without_keys(catalog) == _without_keys(earlier.catalog) else None
        of_project = _without_keys(project_catalog) == _without_keys(earlier.project_catalog)
        project_catalog = project_catalog if of_project else None
        model = model if model == earlier.model else None
        frame = frame if frame == earlier.frame else None
    kept_entries = {} if earlier is None else {name: entry for name, entry in earlier.provenance.items() if name in kept}
    kept_sources = {} if earlier is None else {name: image for name, image in earlier.sources.items() if name in kept}
    marker = OutputMarker(
        folder=folder, kind=kind, catalog=catalog, model=model, frame=frame, outputs={**kept, **outputs}, complete=complete,
        models=tuple(sorted({*models, *(earlier.models if earlier is not None and kept else ())})),
        others=frozenset(others) | (frozenset() if earlier is None else earlier.others),
        provenance={**kept_entries, **(provenance or {})}, project_catalog=project_catalog,
        sources={**kept_sources, **(sources or {})},
        turned=frozenset() if earlier is None else earlier.turned & {*kept, *outputs},
    )  # fmt: skip
    make_folder(folder)
    _write(marker)
    return marker


def mark_turned(folder: str | Path, outputs: Iterable[str]) -> None:
    """Add outputs to :attr:`OutputMarker.turned` of the marker of a folder. Raises StorageError."""
    found, marker = frozenset(outputs), read_marker(folder)
    if marker is not None and not found <= marker.turned:
        _write(replace(marker, folder=Path(folder), turned=marker.turned | found))


def _write(marker: OutputMarker) -> None:
    atomic_write(marker.folder / MARKER_NAME, (json.dumps(_to_dict(marker), ensure_ascii=True, indent=1) + "\n").encode())


def unmark_output(folder: str | Path) -> None:
    """Take the marker away from a folder into which nothing was written after all."""
    with contextlib.suppress(OSError):
        (Path(folder) / MARKER_NAME).unlink()


def _to_dict(marker: OutputMarker) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "kind": marker.kind,
        "program": marker.program,
        "model": marker.model,
        "frame": marker.frame,
        "images": marker.images,
        "untouched_images": marker.untouched_images,
        "untouched_pixels": marker.untouched_pixels,
        "complete": marker.complete,
        "catalog": None if marker.catalog is None else marker.catalog.to_dict(),
        **({} if marker.project_catalog is None else {"project_catalog": marker.project_catalog.to_dict()}),
        "catalog_version": None if marker.catalog is None else catalog_version(marker.catalog),
        "models": list(marker.models),
        "others": sorted(marker.others),
        "provenance": {name: {"file": entry.file, "reviewed": entry.reviewed} for name, entry in marker.provenance.items()},
        **({"sources": dict(marker.sources)} if marker.sources else {}),
        **({"turned": sorted(marker.turned)} if marker.turned else {}),
        "outputs": {
            name: None if entry is None else {"untouched_pixels": entry.pixels, "untouched": entry.whole}
            for name, entry in marker.outputs.items()
        },
    }


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = read_json(path, limit=_MOST_BYTES, what="the marker of the folder")
    except AtrousError:
        return None
    return data if isinstance(data, dict) else None


def _from_marker(folder: Path, data: dict[str, Any]) -> OutputMarker | None:
    kind, outputs = data.get("kind"), data.get("outputs")
    if kind not in _KINDS or not isinstance(outputs, dict):
        return None
    model = data.get("model")
    return OutputMarker(
        folder=folder,
        kind=kind,
        program=str(data.get("program", "")),
        catalog=_catalog(data.get("catalog")),
        model=model if isinstance(model, str) else None,
        frame=_frame(data.get("frame")),
        outputs={str(name): _entry(entry) for name, entry in outputs.items()},
        complete=data.get("complete") is not False,
        models=tuple(_texts(data.get("models"))),
        others=frozenset(_texts(data.get("others"))),
        provenance=_provenance(data.get("provenance")),
        project_catalog=_catalog(data.get("project_catalog")),
        sources=_named(data.get("sources")),
        turned=frozenset(_texts(data.get("turned"))),
    )


def catalog_version(catalog: ClassCatalog) -> str:
    """12 hex digits that change with every change of the classes: ids, names, colours, order and values of the files."""
    return hashlib.sha256(json.dumps(catalog.to_dict(), sort_keys=True).encode()).hexdigest()[:12]


def _texts(values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _named(data: object) -> dict[str, str]:
    entries = data.items() if isinstance(data, dict) else ()
    return {str(name): value for name, value in entries if isinstance(value, str)}


def _provenance(data: object) -> dict[str, ProvenanceFile]:
    entries = data.items() if isinstance(data, dict) else ()
    return {
        str(name): ProvenanceFile(entry["file"], entry.get("reviewed") is True)
        for name, entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("file"), str)
    }


def _from_run_record(folder: Path, data: dict[str, Any]) -> OutputMarker | None:
    if not {"model", "catalog", "options"} <= data.keys():
        return None  # a file of another program that has this name
    return OutputMarker(
        folder=folder,
        kind="prediction",
        program="",
        catalog=builtin_catalogs().get(str(data["catalog"])),
        model=str(data["model"]),
        frame=_frame(data.get("frame")),
        complete=False,
    )


def _frame(value: Any) -> StoredFrame | None:
    return value if value in get_args(StoredFrame) else None


def _entry(entry: object) -> Untouched | None:
    if not isinstance(entry, dict):
        return None
    pixels, whole = entry.get("untouched_pixels"), entry.get("untouched")
    if not isinstance(pixels, int) or isinstance(pixels, bool) or pixels < 0 or not isinstance(whole, bool):
        return None
    return Untouched(pixels, whole)


def _without_keys(catalog: ClassCatalog | None) -> ClassCatalog | None:
    """The classes as files have them: which digit selects a class changes none."""
    if catalog is None:
        return None
    return replace(catalog, classes=tuple(replace(info, key="") for info in catalog.classes))


def _catalog(data: object) -> ClassCatalog | None:
    try:
        return ClassCatalog.from_dict(data) if isinstance(data, dict) else None
    except CatalogError:
        return None
