"""Tables of attributes that a project keeps: the user's own properties of images and objects, as slices of every figure.

No Qt, no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from app.state.own_files import contained, read_plain
from app.state.project import Project
from app.state.samples import load_sample
from deeplab_core.analysis.kinds import things_of
from deeplab_core.analysis.objects import find_objects
from deeplab_core.analysis.own_slices import Attributes, OwnSlices, read_attributes
from deeplab_core.atomic import atomic_write, make_folder, storage_error
from deeplab_core.errors import AtrousError, MaskFormatError, message
from deeplab_core.metrics.truth_hash import image_key

#: Folder of the copies below the project's directory, and the setting with their names: file -> name of the user's file.
_FOLDER, _KEY = "attributes", "attribute_tables"
_MOST_BYTES = 64 << 20


def table_names(project: Project) -> dict[str, str]:
    """File of the project -> name that the user's file had; what is damaged is left out."""
    kept = project.setting(_KEY, {})
    if not isinstance(kept, dict):
        return {}
    return {str(file): str(name) for file, name in kept.items() if str(file).endswith(".csv") and "/" not in str(file)}


def keep_table(project: Project, path: Path) -> Attributes:
    """Copy a table into the project, in the place of one of the same name.

    Raises:
        MaskFormatError: the table cannot be used, or has a column of another table.
        ProjectLocked, StorageError: it cannot be kept.
    """
    project.check_writable()
    table, names = read_attributes(path), table_names(project)
    others = {file: name for file, name in names.items() if name != path.name}
    OwnSlices([*(read_table(project, file) for file in others), table])  # raises where a column is in two tables
    mine = next((file for file, name in names.items() if name == path.name), None)
    number = 1 + max((int(file[:-4]) for file in names if file[:-4].isdecimal()), default=0)
    file = mine or f"{number}.csv"
    target = contained(project.directory, f"{_FOLDER}/{file}", below=_FOLDER)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise storage_error(error, path, message("the table cannot be read")) from error
    make_folder(target.parent)
    atomic_write(target, data)
    project.set_setting(_KEY, names | {file: path.name})
    return table


def remove_table(project: Project, file: str) -> None:
    """Forget a table. Raises ProjectLocked."""
    project.set_setting(_KEY, {kept: name for kept, name in table_names(project).items() if kept != file})
    contained(project.directory, f"{_FOLDER}/{file}", below=_FOLDER).unlink(missing_ok=True)


def read_table(project: Project, file: str) -> Attributes:
    """A kept table. Raises ProjectError, MaskFormatError."""
    path = contained(project.directory, f"{_FOLDER}/{file}", below=_FOLDER)
    try:
        read_plain(path, _MOST_BYTES)  # neither a link nor a pipe
    except (OSError, ValueError) as error:
        raise MaskFormatError(
            message("a table of attributes of the project cannot be read"),
            why=str(error),
            remedy=message("Choose the table again in the Evaluation panel, Failures"),
            path=path,
        ) from error
    return read_attributes(path)


def own_slices(project: Project, images: Iterable[int]) -> OwnSlices | None:
    """The slices of all kept tables for images that go by ``str(image id)``; None without a table. Reads files: for a thread.

    Args:
        images: ids of the images with ground truth. Those of which a table describes objects are read.

    Raises:
        ProjectError, MaskFormatError: a table cannot be used.
    """
    tables = [read_table(project, file) for file in table_names(project)]
    if not tables:
        return None
    ids = list(images)
    own = OwnSlices(tables, names={str(image): project.record(image).relative_path for image in ids})
    described = {key for table in tables for key in table.objects}
    things = things_of(project.catalog)
    for image in ids:
        key = image_key(project.record(image).relative_path)
        if not described & {key, key.rpartition("/")[2]}:
            continue
        try:
            truth = load_sample(project, image, labels="none").scored
        except AtrousError:
            continue  # the analysis of the folder names it
        if truth is not None:
            objects = find_objects(truth=truth, prediction=truth, catalog=project.catalog, things=things)
            own.add(str(image), objects.numbers.astype(np.int32, copy=False), len(objects.rows))
    return own
