"""Data of ``atrous train`` that comes from projects: what people corrected in the window, in the classes of the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.terminal import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from app.state.project import ImageRecord, Project
    from deeplab_core.catalogs.catalog import CatalogMapping, ClassCatalog
    from deeplab_core.labels import LabelMap
    from deeplab_core.training import Sample


@contextmanager
def opened_projects(places: tuple[Path, ...]) -> Iterator[list[Project]]:
    """Some projects, to read; closed at the end.

    Args:
        places: as :func:`project_place` takes them.
    """
    from app.state.project import Project

    with ExitStack() as stack:
        projects = [stack.enter_context(Project.open(*project_place(place), read_only=True)) for place in places]
        for project in projects:
            say_repairs(project)
        yield projects


def say_repairs(project: Project) -> None:
    """What a project that is only read was found to lack, and what this version does not know of it, on stderr."""
    for sentence in (*project.repairs, *project.later):
        say(f"atrous: {project.folder}: {sentence}", err=True)


def project_place(place: Path) -> tuple[Path, Path | None]:
    """Where images and data of a project lie.

    Args:
        place: a folder of images that was opened in the window, or the directory that holds a project's data (``--project DIR``
            of the window), which knows its folder of images.

    Returns:
        The folder of images, and the directory of the data; None if it lies inside the folder or is absent.

    Raises:
        AtrousError: the data is there and the images are not.
    """
    from app.state.careful import meta_json
    from app.state.layout import DATABASE, DIRECTORY_NAME
    from app.state.store import Store
    from deeplab_core.errors import AtrousError

    if (place / DIRECTORY_NAME / DATABASE).is_file() or not (place / DATABASE).is_file():
        return place, None
    if place.absolute().name == DIRECTORY_NAME:  # it moves about with its folder
        return place.absolute().parent, None
    with closing(Store(place / DATABASE, read_only=True)) as store:
        row = store.row("SELECT value FROM meta WHERE key = 'folder'")
    folder = None if row is None else Path(str(meta_json(str(row[0]), "folder")))
    if folder is None or not folder.is_dir():
        raise AtrousError(
            "the images of this project are missing",
            why="It names no folder" if folder is None else f"They were in {folder}",
            remedy=f"Bring the folder back, or open it where it is now: atrous FOLDER --project {place}",
            path=place,
        )
    return folder, place


def project_samples(
    project: Project, catalog: ClassCatalog, exclude: tuple[str, ...] = (), *, unmatched_to_void: bool = False
) -> list[Sample]:
    """The user's labels of a project's images; rejected ones and those of ``exclude`` (shell patterns) are left out.

    A reviewed image counts whole. Of an image that was touched but not reviewed, only the user's (and imported) pixels count;
    the rest is void.

    Raises:
        CatalogError: labelled classes have no partner in the catalog, and void was not agreed to.
    """
    from app.state.image_record import ImageStatus
    from deeplab_core.training import Sample, fits

    mapping = _to_training(project, catalog)
    records = [
        record
        for record in project.images
        if record.status >= ImageStatus.TOUCHED and not (record.missing or record.rejected or fits(record.relative_path, exclude))
    ]
    if mapping.unmatched and not unmatched_to_void:
        _demand_partners(project, records, mapping, catalog)
    return [
        Sample(
            image=project.path_of(record),
            mask=project.directory / record.mask,
            labels=partial(_corrected, project, record, mapping.lut),
            name=record.relative_path,
        )
        for record in records
    ]


def _to_training(project: Project, catalog: ClassCatalog) -> CatalogMapping:
    """How the project's classes become those of the training: what the project knows of the other direction, turned around."""
    from app.state.class_mapping import project_mapping
    from deeplab_core.catalogs.catalog import map_catalogs

    if project.catalog.names == catalog.names:
        return map_catalogs(project.catalog, catalog)
    sources: dict[int, list[int]] = {}
    for theirs, mine in project_mapping(project, catalog).pairs:
        if mine is not None:
            sources.setdefault(mine, []).append(theirs)
    by_name = dict(map_catalogs(project.catalog, catalog).pairs)
    # Where several classes became one, only the one of the same name is a way back.
    chosen = {mine: theirs[0] for mine, theirs in sources.items() if len(theirs) == 1 and theirs[0] != by_name.get(mine)}
    return map_catalogs(project.catalog, catalog, dict(chosen))


def _demand_partners(project: Project, records: list[ImageRecord], mapping: CatalogMapping, catalog: ClassCatalog) -> None:
    """Raise CatalogError if a labelled pixel would be lost; unused classes do not matter."""
    import numpy as np

    from deeplab_core.errors import AtrousError, CatalogError

    lost: set[str] = set()
    same = np.arange(len(mapping.lut), dtype=project.catalog.dtype)
    for record in records:
        try:
            found = np.unique(_corrected(project, record, same))
        except AtrousError:
            continue  # the training names it when it reads the image
        lost |= {project.catalog.by_id(int(value)).name for value in found if value != project.catalog.ignore}
    names = [name for name in mapping.unmatched if name in lost]
    if names:
        raise CatalogError(
            f"'{catalog.name}' has no class for {', '.join(names)}",
            why="Their corrected pixels would be lost",
            remedy="Leave --catalog out to train the project's own classes, or let them become void with --unmatched-to-void",
            path=project.folder,
        )


def _corrected(project: Project, record: ImageRecord, lut: NDArray[np.integer[Any]]) -> LabelMap:
    from app.state.samples import load_sample
    from deeplab_core.labels import apply_lut

    labels = load_sample(project, record.id, labels="confirmed", truth=False).labels
    assert labels is not None, "a touched image has a mask"
    return apply_lut(labels, lut)
