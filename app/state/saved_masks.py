"""Loading and saving the labels of a project's images: mask files plus the journal behind them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.image_record import ImageFlag, ImageRecord
from app.state.journal import Journal, JournalStep
from app.state.mask_file import MaskContent, MaskNote, read_mask_file, read_note, write_mask_file
from app.state.opening import MASKS
from app.state.patch import Labels
from app.state.store import Store, set_aside
from deeplab_core.catalog import ClassCatalog
from deeplab_core.errors import ProjectError


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image's labels as they were left.

    Attributes:
        document: labels and provenance; blank where nobody has worked on the image yet.
        steps: what can be undone and redone, oldest first.
        move: number of the last journal move that the document contains.
        saved: whether the mask file contains all of it; also where there is nothing to save yet.
        notice: what was found damaged and how it was mended, in words; empty for most.
    """

    document: Document
    steps: tuple[JournalStep, ...]
    move: int
    saved: bool
    notice: str = ""


class SavedMasks:
    """Mask files of one project, each with the number of the last move it contains."""

    def __init__(self, directory: Path, store: Store, journal: Journal) -> None:
        self._directory = directory
        self._store = store
        self._journal = journal

    def load(self, record: ImageRecord, shape: tuple[int, int], catalog: ClassCatalog) -> LoadedImage:
        """Labels of an image: its mask file and the moves behind it.

        Args:
            shape: (H, W) of the oriented image.

        Raises:
            ProjectError: the mask is damaged and the journal does not reach back to the beginning, or the labels were made
                for a picture of another size. Damaged files are set aside, never deleted.
        """
        row = self._store.row("SELECT mask, journal_base FROM images WHERE id = ?", (record.id,))
        if row is None:
            raise ProjectError("the project does not know this image", remedy="Reload the folder", path=record.relative_path)
        mask, base = row
        content, notice = None, ""
        if mask:
            try:
                content = read_mask_file(self._directory / mask, catalog)
            except ProjectError as error:
                notice = self._put_aside(record, mask, error, rebuilt=base == 0)
        if content is None and base > 0:
            raise ProjectError(
                "the mask of this image is damaged and its journal does not reach back to the beginning",
                why=notice or record.note,
                remedy="Start this image again from the model, from a mask file or from blank; the damaged file is kept",
                path=record.relative_path,
            )
        return self._assembled(record, shape, catalog, content, notice)

    def _assembled(
        self, record: ImageRecord, shape: tuple[int, int], catalog: ClassCatalog, content: MaskContent | None, notice: str
    ) -> LoadedImage:
        saved_move = 0
        if content is not None:
            _check_size(content.labels.shape, shape, record)
            document = Document(content.labels, catalog, content.provenance)
            saved_move = content.note.move
            if saved_move > self._journal.head(record.id):
                # A power cut took the end of the journal, but the mask had reached the disk: it is all that counts now.
                if not self._store.read_only:
                    self._journal.reset(record.id, saved_move)
                return LoadedImage(document, (), saved_move, True, "Undo steps of this image were lost in a power cut.")
        else:
            document = Document.blank(shape, catalog)
        first = next(iter(self._journal.moves_after(record.id, saved_move)), None)
        if first is not None:
            _check_size(first[1].shape, shape, record)
        move = self._journal.replay(document, record.id, saved_move)
        document.revision = 0
        saved = move == saved_move
        return LoadedImage(document, tuple(self._journal.steps(record.id)), move, saved, notice)

    def save(self, record: ImageRecord, labels: Labels, provenance: NDArray[np.uint8], move: int, catalog: ClassCatalog) -> str:
        """Write an image's mask file; returns its name below the project directory.

        The order makes every crash harmless: the journal reaches the disk before the mask that contains it, and the database
        learns of the mask after it is in place; until then it merely believes an older number.

        Args:
            move: number of the last journal move that ``labels`` contain.

        Raises:
            StorageError: it cannot be written; the older mask file is as it was.
        """
        self._store.sync()
        name = self._name(record)
        write_mask_file(
            self._directory / name, labels, provenance, catalog, MaskNote(move, record.relative_path, record.content_key)
        )
        with self._store.transaction() as connection:
            connection.execute(
                "UPDATE images SET mask = ?, mask_move = max(mask_move, ?), flags = flags & ? WHERE id = ?",
                (name, move, ~int(ImageFlag.DAMAGED), record.id),
            )
        return name

    def start_over(self, record: ImageRecord) -> None:
        """Forget the labels and steps of an image. Its mask file is set aside, not deleted."""
        row = self._store.row("SELECT mask FROM images WHERE id = ?", (record.id,))
        if row and row[0] and (self._directory / row[0]).exists():
            set_aside(self._directory / row[0])
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM moves WHERE image = ?", (record.id,))
            connection.execute("DELETE FROM steps WHERE image = ?", (record.id,))
            connection.execute(
                "UPDATE images SET mask = '', mask_move = 0, journal_base = 0, status = 0, flags = flags & ?, note = ''"
                " WHERE id = ?",
                (int(ImageFlag.MISSING), record.id),
            )

    def _put_aside(self, record: ImageRecord, mask: str, error: ProjectError, *, rebuilt: bool) -> str:
        path = self._directory / mask
        kept = ""
        if not self._store.read_only:
            if path.exists():
                kept = f" The damaged file is kept as {set_aside(path).name}."
            mended = "Its labels were rebuilt from the journal." if rebuilt else "Its labels could not be rebuilt."
            self._store.write(
                "UPDATE images SET mask = '', flags = flags | ?, note = ? WHERE id = ?",
                (ImageFlag.DAMAGED, f"The saved mask was damaged: {error.why}. {mended}", record.id),
            )
        head = f"The saved mask was damaged: {error.why.rstrip('.')}.{kept}"
        return f"{head} Its labels were rebuilt from the journal." if rebuilt else head

    def _name(self, record: ImageRecord) -> str:
        """Where the mask belongs: beside its namesakes, and never on a file that belongs to another image."""
        row = self._store.row("SELECT mask FROM images WHERE id = ?", (record.id,))
        if row and row[0]:
            return str(row[0])
        plain = PurePosixPath(MASKS) / f"{record.relative_path}.png"
        name, number = str(plain), 1
        while self._store.row("SELECT 1 FROM images WHERE mask = ?", (name,)) or self._is_foreign(name, record):
            number += 1
            name = str(plain.with_name(f"{plain.stem}~{number}.png"))
        return name

    def _is_foreign(self, name: str, record: ImageRecord) -> bool:
        """Whether a file of this name is there that is not this image's own, left by a crash right after it was written."""
        path = self._directory / name
        if not path.exists():
            return False
        try:
            return read_note(path).image != record.relative_path
        except ProjectError:
            return True


def _check_size(found: tuple[int, ...], shape: tuple[int, int], record: ImageRecord) -> None:
    if tuple(found[:2]) != shape:
        raise ProjectError(
            f"the labels are {found[1]} x {found[0]} px, but the image is {shape[1]} x {shape[0]}",
            why="The image file was replaced by one of another size",
            remedy="Put the old file back, or start this image again; the old mask is kept",
            path=record.relative_path,
        )
