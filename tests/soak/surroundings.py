"""What the world around a project does to it: each a short story that ends well (None) or returns what went wrong."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np

from app.state.document import Document
from app.state.project import ImageStatus, Project
from app.state.provenance import Provenance
from deeplab_core.errors import AtrousError, ProjectError, StorageError
from tests.soak.crash import Outcome
from tests.soak.oplog import ROOT
from tests.unit.app.folders import make_folder, paint, same

Story = Callable[[Path], str | None]


class NotTried(Exception):
    """The story cannot be told on this system; it does not count."""


def _worked_on(base: Path, *names: str, strokes: int = 4, saved: bool = True) -> tuple[Path, list[Document]]:
    """A folder of images, each with strokes, a status and (``saved``) a mask file; returns their documents in order."""
    folder = make_folder(base / "photos", *(names or ("a.png", "b.png")))
    documents = []
    with Project.open(folder) as project:
        for record in project.images:
            document = project.load(record.id).document
            for seed in range(strokes):
                project.append_step(record.id, f"Brush {seed}", Provenance(3), paint(document, seed))
            if saved:
                project.save_mask(record.id, document.labels, document.provenance, project.journal.head(record.id))
            project.set_status(record.id, ImageStatus.REVIEWED)
            documents.append(document)
    return folder, documents


def _compare(folder: Path, documents: list[Document], project_dir: Path | None = None, *, steps: int = 4) -> str | None:
    with Project.open(folder, project_dir) as project:
        for record, document in zip(project.images, documents, strict=True):
            loaded = project.load(record.id)
            if not same(loaded.document, document):
                return f"{record.relative_path} differs"
            if len(loaded.steps) != steps:
                return f"{record.relative_path} has {len(loaded.steps)} steps instead of {steps}"
    return None


def moved_folder(base: Path) -> str | None:
    """The folder is moved and renamed with its project."""
    folder, documents = _worked_on(base)
    return _compare(folder.rename(base / "elsewhere"), documents)


def copied_while_open(base: Path) -> str | None:
    """The whole folder is copied while a window has it open, the log included."""
    folder, documents = _worked_on(base)
    with Project.open(folder) as project:
        image = project.images[0].id
        project.append_step(image, "Brush 4", Provenance(3), paint(documents[0], 9))
        shutil.copytree(folder, base / "copy")
    with Project.open(base / "copy") as copy:
        loaded = copy.load(copy.images[0].id)
        return None if same(loaded.document, documents[0]) else "the copy lacks the last stroke"


def renamed_images(base: Path) -> str | None:
    """Images are renamed between two visits: the labels follow the content."""
    folder, documents = _worked_on(base)
    (folder / "a.png").rename(folder / "c.png")
    with Project.open(folder) as project:
        by_name = {record.relative_path: record for record in project.images}
        loaded = project.load(by_name["c.png"].id)
        return None if same(loaded.document, documents[0]) else "the labels did not follow the renamed image"


def other_normal_form(base: Path) -> str | None:
    """A file name comes back in the other Unicode form, as macOS and archives do."""
    folder, documents = _worked_on(base, "ä.png", strokes=2)
    (folder / "ä.png").rename(folder / unicodedata.normalize("NFD", "ä.png"))
    return _compare(folder, documents, steps=2)


def image_of_another_size(base: Path) -> str | None:
    """An image is replaced by one of another size: its labels are not shown on it, and not lost."""
    from tests.unit.app.folders import make_image

    folder, _ = _worked_on(base)
    make_image(folder / "a.png", 77, (40, 50))
    with Project.open(folder) as project:
        record = next(record for record in project.images if record.relative_path == "a.png")
        try:
            loaded = project.load(record.id)
        except ProjectError as error:
            return None if error.remedy else "no remedy"
        return None if (loaded.document.labels == 255).all() else "labels of another size are shown"


def two_windows(base: Path) -> str | None:
    """A second window opens the project read-only and says who has it; the first goes on."""
    folder, documents = _worked_on(base)
    code = (
        "import sys; from app.state.project import Project\n"
        "with Project.open(sys.argv[1]) as project: print(project.read_only, project.read_only_reason)"
    )
    with Project.open(folder) as project:
        command = [sys.executable, "-c", code, str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
        if not second.stdout.startswith("True Another"):
            return f"the second said: {second.stdout or second.stderr[-300:]}"
        project.append_step(project.images[0].id, "Brush 4", Provenance(3), paint(documents[0], 5))
    with Project.open(folder) as project:
        return None if same(project.load(project.images[0].id).document, documents[0]) else "the stroke of the first was lost"


def read_only_folder(base: Path) -> str | None:
    """A folder on a medium that cannot be written opens for reading."""
    folder, documents = _worked_on(base)
    with _mounted(base / "medium", b"size=8m") as refusal:
        if refusal is not None:
            raise NotTried(refusal)
        shutil.copytree(folder, base / "medium/photos")
        _mount_again(base / "medium")
        with Project.open(base / "medium/photos") as project:
            if not project.read_only:
                return "opened for writing"
            return None if same(project.load(project.images[0].id).document, documents[0]) else "labels differ"


def full_disk(base: Path) -> str | None:
    """The disk fills up while strokes are drawn: what was refused is in memory and saved when there is room."""
    folder = make_folder(base / "photos", "a.png")
    with _mounted(base / "disk", b"size=3m") as refusal:
        if refusal is not None:
            raise NotTried(refusal)
        with Project.open(folder, base / "disk/project") as project:
            image = project.images[0].id
            document = project.load(image).document
            filler = base / "disk/filler"
            done = 0
            for seed in range(10_000):
                patch = paint(document, seed)
                try:
                    project.append_step(image, f"Brush {seed}", Provenance(3), patch)
                except StorageError:
                    break
                done += 1
                if done == 20:
                    _fill(filler)
            else:
                return "the disk never filled up"
            filler.unlink()
            project.append_step(image, "kept in memory", Provenance(3), patch)
        return _compare(folder, [document], base / "disk/project", steps=done + 1)


def no_file_handles(base: Path) -> str | None:
    """The process runs out of file handles while a mask is saved; it is saved afterwards."""
    folder, documents = _worked_on(base)
    with Project.open(folder) as project:
        image = project.images[0].id
        project.append_step(image, "Brush 4", Provenance(3), paint(documents[0], 8))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 1
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (used, limits[1]))
            held = []
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            try:
                project.save_mask(image, documents[0].labels, documents[0].provenance, project.journal.head(image))
            except AtrousError:
                pass
            else:
                return "nothing was refused"
            finally:
                for descriptor in held:
                    os.close(descriptor)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        project.save_mask(image, documents[0].labels, documents[0].provenance, project.journal.head(image))
    with Project.open(folder) as project:
        loaded = project.load(image)
        return None if loaded.saved and same(loaded.document, documents[0]) else "the mask was not saved afterwards"


def database_deleted_while_open(base: Path) -> str | None:
    """``project.db`` is deleted while a window works: it is noticed, not written into nothing."""
    folder, documents = _worked_on(base)
    with Project.open(folder) as project:
        for name in ("project.db", "project.db-wal", "project.db-shm"):
            (folder / ".atrous" / name).unlink(missing_ok=True)
        return _noticed(project, documents[0])


def folder_deleted_while_open(base: Path) -> str | None:
    """``git clean -fdX`` removes the project while a window works."""
    folder, documents = _worked_on(base)
    with Project.open(folder) as project:
        shutil.rmtree(folder / ".atrous")
        return _noticed(project, documents[0])


def database_replaced_while_open(base: Path) -> str | None:
    """A synchroniser puts another copy of the database in place while a window works."""
    folder, documents = _worked_on(base)
    shutil.copy(folder / ".atrous/project.db", base / "older.db")
    with Project.open(folder) as project:
        (base / "older.db").replace(folder / ".atrous/project.db")
        return _noticed(project, documents[0])


def _noticed(project: Project, document: Document) -> str | None:
    image = project.images[0].id
    try:
        project.append_step(image, "Brush 9", Provenance(3), paint(document, 9))
        project.sync()
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        project.sync()
    except AtrousError as error:
        return None if error.remedy else "noticed, but without a remedy"
    return "not noticed: the program claims that all is saved"


def empty_database(base: Path) -> str | None:
    """``project.db`` has 0 bytes: the masks beside it are adopted, and no save replaces them by less."""
    folder, documents = _worked_on(base)
    for name in ("project.db-wal", "project.db-shm"):
        (folder / ".atrous" / name).unlink(missing_ok=True)
    (folder / ".atrous/project.db").write_bytes(b"")
    with Project.open(folder) as project:
        for record, document in zip(project.images, documents, strict=True):
            if not np.array_equal(project.load(record.id).document.labels, document.labels):
                return f"{record.relative_path} lost its labels"
        return None if project.notices else "nothing was said"


def missing_database(base: Path) -> str | None:
    """``project.db`` is gone, the masks are there."""
    folder, documents = _worked_on(base)
    for path in (folder / ".atrous").glob("project.db*"):
        path.unlink()
    with Project.open(folder) as project:
        for record, document in zip(project.images, documents, strict=True):
            if not np.array_equal(project.load(record.id).document.labels, document.labels):
                return f"{record.relative_path} lost its labels"
        return None if project.notices else "nothing was said"


def mask_from_a_backup(base: Path) -> str | None:
    """A synchroniser puts an older mask back after the journal was bounded: it is not taken without a word."""
    folder, documents = _worked_on(base)
    mask = next((folder / ".atrous/masks").rglob("a.png*"))
    older = mask.read_bytes()
    with Project.open(folder) as project:
        image = project.images[0].id
        for seed in range(10, 14):
            project.append_step(image, f"Brush {seed}", Provenance(3), paint(documents[0], seed))
        project.save_mask(image, documents[0].labels, documents[0].provenance, project.journal.head(image))
        project.tidy(0)
    mask.write_bytes(older)
    with Project.open(folder) as project:
        try:
            loaded = project.load(project.images[0].id)
        except ProjectError as error:
            return None if error.remedy else "no remedy"
        return None if loaded.notice or same(loaded.document, documents[0]) else "the older mask is shown without a word"


def mask_of_another_image(base: Path) -> str | None:
    """Two masks were swapped by hand: neither is shown on the wrong image without a word."""
    folder, documents = _worked_on(base)
    first, second = sorted((folder / ".atrous/masks").rglob("*.png"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with Project.open(folder) as project:
        for record, document in zip(project.images, documents, strict=True):
            try:
                loaded = project.load(record.id)
            except ProjectError as error:
                if not error.remedy:
                    return "no remedy"
                continue
            if not loaded.notice and not same(loaded.document, document):
                return f"{record.relative_path} shows another image's labels"
    return None


def log_left_behind(base: Path) -> str | None:
    """The database is copied without its log, as a user does who copies 'the file': told, if strokes are missing."""
    folder, documents = _worked_on(base, saved=False)
    with Project.open(folder) as project:
        project.append_step(project.images[0].id, "Brush 4", Provenance(3), paint(documents[0], 6))
        project.sync()
        copy = make_folder(base / "copy", "a.png", "b.png")
        (copy / ".atrous").mkdir()
        shutil.copy(folder / ".atrous/project.db", copy / ".atrous/project.db")
    with Project.open(copy) as project:
        loaded = project.load(project.images[0].id)
        whole = same(loaded.document, documents[0])
        return None if whole or project.notices or loaded.notice else "strokes are missing without a word"


def clock_back(base: Path) -> str | None:
    """The clock is in 1970: files, steps and backups are not taken for old."""
    folder, documents = _worked_on(base)
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))
    return _compare(folder, documents)


def newer_version(base: Path) -> str | None:
    """A project of a later program is refused by name and left as it is."""
    folder, _ = _worked_on(base)
    path = folder / ".atrous/project.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    try:
        Project.open(folder).close()
    except ProjectError as error:
        return None if "newer" in str(error) and path.read_bytes() == content else f"said: {error}"
    return "opened"


def leftovers(base: Path) -> str | None:
    """Temporary files of killed programs are removed, if they are old and ours; others stay."""
    folder, _ = _worked_on(base)
    old, young, other = (
        folder / ".atrous/masks" / name for name in (".atrous-0011223344556677.tmp", ".atrous-8899aabbccddeeff.tmp", "mine.tmp")
    )
    for path in (old, young, other):
        path.write_bytes(b"part")
    days = time.time() - 3 * 86400
    os.utime(old, (days, days))
    os.utime(other, (days, days))
    with Project.open(folder) as project:
        project.upkeep()
    if old.exists():
        return "an old temporary file of ours stays"
    return None if young.exists() and other.exists() else "a file was removed that is young or not ours"


def foreign_bytes(base: Path) -> str | None:
    """A file name in bytes that are not UTF-8, as unpacked from an archive of another system."""
    folder = make_folder(base / "photos", "a.png")
    shutil.copy(folder / "a.png", os.fsencode(folder) + b"/\xb0\xa1.png")
    with Project.open(folder) as project:
        if len(project.images) != 2:
            return f"{len(project.images)} images instead of 2"
        for record in project.images:
            document = project.load(record.id).document
            project.append_step(record.id, "Brush", Provenance(3), paint(document, 1))
            project.save_mask(record.id, document.labels, document.provenance, project.journal.head(record.id))
    with Project.open(folder) as project:
        return None if all(project.load(record.id).saved for record in project.images) else "a mask was not saved"


def pipes_and_devices(base: Path) -> str | None:
    """Pipes, devices and links out of the folder lie among the images."""
    folder = make_folder(base / "photos", "a.png")
    os.mkfifo(folder / "b.png")
    (folder / "c.png").symlink_to("/dev/zero")
    (folder / "d").symlink_to("/", target_is_directory=True)
    began = time.process_time()
    with Project.open(folder) as project:
        names = [record.relative_path for record in project.images]
    if time.process_time() - began > 5:
        return "the whole disk was walked"
    return None if names == ["a.png"] else f"listed: {names[:5]}"


STORIES: tuple[Story, ...] = (
    moved_folder, copied_while_open, renamed_images, other_normal_form, image_of_another_size, two_windows, read_only_folder,
    full_disk, no_file_handles, database_deleted_while_open, folder_deleted_while_open, database_replaced_while_open,
    empty_database, missing_database, mask_from_a_backup, mask_of_another_image, log_left_behind, clock_back, newer_version,
    leftovers, foreign_bytes, pipes_and_devices,
)  # fmt: skip


def surroundings(base: Path, stories: tuple[Story, ...] = STORIES) -> Outcome:
    """Tell all stories."""
    outcome = Outcome()
    for story in stories:
        folder = base / story.__name__
        folder.mkdir(parents=True)
        try:
            failure = story(folder)
        except NotTried:
            continue
        except Exception as error:  # anything that is not expected is a failure of this story only
            failure = f"{type(error).__name__}: {error}"
        outcome.add(failure, story.__name__.replace("_", " "))
    return outcome


class _mounted:  # noqa: N801 -- used like a function
    """A small disk in memory at ``path``; the value is why it could not be mounted, or None."""

    def __init__(self, path: Path, options: bytes) -> None:
        self._path, self._options = path, options
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self) -> str | None:
        self._path.mkdir()
        done = self._libc.mount(b"tmpfs", os.fsencode(self._path), b"tmpfs", 0, self._options)
        return None if done == 0 else f"cannot mount a small disk: {os.strerror(ctypes.get_errno())}"

    def __exit__(self, *_: object) -> None:
        self._libc.umount2(os.fsencode(self._path), 2)


def _mount_again(path: Path) -> None:
    remount, read_only = 32, 1
    if ctypes.CDLL(None).mount(b"tmpfs", os.fsencode(path), b"tmpfs", remount | read_only, None) != 0:
        raise OSError("cannot make the small disk read-only")


def _fill(path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as stream:
            while stream.write(bytes(4096)):
                pass
    except OSError:
        pass
