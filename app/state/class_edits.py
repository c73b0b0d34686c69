"""Edits of a project's classes that give pixels other ids (merge, delete), and their undo. No Qt, no torch.

An edit is recorded at once: the new catalog, and which ids became which. Labels follow when they are loaded: as one step of the
image's journal, in the same transaction as the note that the image has followed. So an edit of a hundred thousand images takes
the time of one write, and a crash at any instant leaves every image either before or behind an edit. Steps before an edit cannot
be undone one by one, because their ids may have no class any more; undoing the edit makes them available again.

Ids that an edit took away are never used again. Files that still hold them (masks that were not loaded since, ground truth,
imports) are read with :meth:`ClassEdits.reading_catalog` and brought up to date by :meth:`ClassEdits.current_ids`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.careful import meta_json
from app.state.journal import Journal, JournalStep
from app.state.patch import TilePatch, diff_patch
from app.state.provenance import Provenance
from app.state.saved_masks import LoadedImage
from app.state.schema import WITH_CLASS_EDITS
from app.state.store import DamagedStore, Store
from app.state.stored_text import read_text, stored_text
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.catalogs.editing import CatalogEdit, moved_by
from deeplab_core.errors import AtrousError, CatalogError, MessageText, join_messages, message
from deeplab_core.labels import LabelMap, apply_lut
from deeplab_core.reading import VALUE_ERRORS, parse_json, whole

_SETTING = "class edits"
#: Kind of the result that records which edits an image's labels have followed.
_KIND = "class edits"

#: What a damaged or strange record of edits raises.
_STRANGE: tuple[type[Exception], ...] = (AtrousError, *VALUE_ERRORS)


@dataclass(frozen=True, slots=True)
class ClassEdit:
    """One recorded edit.

    Attributes:
        number: counts from 1 in the project.
        title: what it did.
        before, after: the classes before and after it.
        moved: id -> the id that its pixels got, or None for void.
        undone: whether it was taken back.
    """

    number: int
    title: MessageText
    before: ClassCatalog
    after: ClassCatalog
    moved: Mapping[int, int | None]
    undone: bool = False

    @property
    def added(self) -> tuple[int, ...]:
        """Ids of the classes that it added, in their order."""
        known = set(self.before.ids.tolist())
        return tuple(number for number in self.after.ids.tolist() if number not in known)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        moved = {str(old): new for old, new in self.moved.items()}
        return {
            "number": self.number,
            "title": stored_text(self.title),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "moved": moved,
            "undone": self.undone,
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> ClassEdit:
        """The inverse of :meth:`to_dict`; raises what values of the wrong form raise."""
        before, after = ClassCatalog.from_dict(data["before"]), ClassCatalog.from_dict(data["after"])
        moved = {int(old): None if new is None else whole(new) for old, new in data["moved"].items()}
        if before.wide != after.wide or not _fits(moved, before, after):
            raise ValueError("an edit moved ids that its catalogs do not have")
        return ClassEdit(whole(data["number"]), read_text(str(data["title"])), before, after, moved, bool(data["undone"]))


@dataclass(frozen=True, slots=True)
class _Followed:
    """What an image's labels have followed.

    Attributes:
        number: of the newest edit.
        steps: edit -> the journal step that applied it to the image.
        floor: steps up to this one cannot be undone, whatever becomes of the edits.
    """

    number: int = 0
    steps: Mapping[int, int] = field(default_factory=dict)
    floor: int = 0

    @property
    def first(self) -> int:
        """Steps up to this one are not offered for undo."""
        return max((self.floor, *self.steps.values()))

    def to_bytes(self) -> bytes:
        steps = {str(edit): step for edit, step in self.steps.items()}
        return json.dumps({"number": self.number, "steps": steps, "floor": self.floor}).encode()

    @staticmethod
    def from_bytes(data: bytes) -> _Followed:
        values = parse_json(data, error=DamagedStore)
        steps = {int(edit): whole(step) for edit, step in values["steps"].items()}
        return _Followed(whole(values["number"]), steps, whole(values["floor"]))


class ClassEdits:
    """The edits of one project's classes. Every method may be called from any thread.

    Attributes:
        entries: all edits, oldest first.
    """

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._mutex = threading.RLock()
        self.entries: tuple[ClassEdit, ...] = _read_entries(store)

    @property
    def newest(self) -> ClassEdit | None:
        """The edit that can be undone; None if there is none, or it was undone already."""
        return self.entries[-1] if self.entries and not self.entries[-1].undone else None

    def retired(self, catalog: ClassCatalog) -> dict[int, ClassInfo]:
        """Classes that were once in the project and are not in ``catalog``, by their ids, which are never used again."""
        known = set(catalog.ids.tolist())
        once = [info for edit in self.entries for info in (*edit.before.classes, *edit.after.classes)]
        return {info.id: info for info in once if info.id not in known}

    def reading_catalog(self, catalog: ClassCatalog) -> ClassCatalog:
        """``catalog`` with the retired classes behind its own, to read files that may still hold their ids."""
        retired = self.retired(catalog)
        if not retired:
            return catalog
        names = set(catalog.names)
        rows = []
        for info in retired.values():
            name = info.name if info.name not in names else f"{info.name} (id {info.id})"
            names.add(name)
            rows.append(replace(info, name=name, key=""))
        return catalog.with_retired(rows)

    @property
    def moves(self) -> dict[int, int | None]:
        """What the edits that count made of ids: id -> the id of its pixels now, or None for void."""
        return moved_by([edit.moved for edit in self.entries if not edit.undone])

    @property
    def counting(self) -> tuple[int, ...]:
        """Numbers of the edits that count: those that were not undone."""
        return tuple(edit.number for edit in self.entries if not edit.undone)

    def names_of(self, catalog: ClassCatalog) -> dict[int, set[str]]:
        """Every name that the class of an id has, or had before an edit, by id."""
        found: dict[int, set[str]] = {}
        for known in (catalog, *(one for edit in self.entries for one in (edit.before, edit.after))):
            for info in known.classes:
                found.setdefault(info.id, set()).add(info.name)
        return found

    def stamp(self, catalog: ClassCatalog) -> str:
        """A text that changes with what the ids of the project's files mean."""
        text: str = _stamp(catalog, tuple(sorted(self.moves.items())))
        return text

    def current_ids(self, labels: LabelMap, catalog: ClassCatalog) -> LabelMap:
        """Labels in which every retired id has become what the edits made of it.

        Args:
            labels: (H, W) of the project's dtype, read with :meth:`reading_catalog`.
            catalog: the project's.

        Returns:
            (H, W); the same array if no edit concerns it.
        """
        moves = self.moves
        return _moved_ids(labels, moves, catalog) if moves else labels

    # -- recording -------------------------------------------------------------------------------------------------------

    def replace(self, before: ClassCatalog, catalog: ClassCatalog) -> None:
        """Keep other classes in which every id keeps its place; no edit that could be undone.

        Raises:
            CatalogError: there are labels, and the new catalog lacks an id, holds wider ids than the old one, or has the id of a
                class that is gone, which files may still hold.
            StorageError: nothing was changed.
        """
        lost = sorted(set(before.ids.tolist()) - set(catalog.ids.tolist()))
        others = bool(lost) or catalog.wide != before.wide or bool(set(self.retired(before)) & set(catalog.ids.tolist()))
        if others and not self._labelled():
            with self._mutex:
                self._write((), catalog)  # no file of the project holds an id of the classes that are gone
            return
        if lost or catalog.wide != before.wide:
            names = ", ".join(before.by_id(number).name for number in lost[:5])
            what = message("the catalog cannot replace the project's, because images are already labelled")
            why = message("It lacks: {names}", names=names) if lost else message("Its masks have another number of bits")
            raise CatalogError(
                what, why=why, remedy=message("Keep every id of the old catalog, or use a new project with --project DIR")
            )
        self._refuse_retired(before, catalog)
        with self._mutex:
            self._write(self.entries, catalog)

    def record(self, edit: CatalogEdit, before: ClassCatalog) -> None:
        """Keep an edit and the new catalog, in one transaction.

        Raises:
            CatalogError: the masks of the project would have another number of bits.
            StorageError: nothing was changed.
        """
        if edit.catalog.wide != before.wide:
            raise CatalogError(
                message("the masks would have another number of bits"),
                why=message("They have {bits} bits", bits=16 if before.wide else 8),
                remedy=message("Begin a new project with a class list of the other size, and import the exported masks there"),
            )
        self._refuse_retired(before, edit.catalog)
        if not _fits(edit.moved, before, edit.catalog):
            raise CatalogError(
                message("the edit moves an id that is not in the catalog"), remedy=message("Choose a class that is listed")
            )
        with self._mutex:
            number = self.entries[-1].number + 1 if self.entries else 1
            entries = (*self.entries, ClassEdit(number, edit.title, before, edit.catalog, dict(edit.moved)))
            self._write(entries, edit.catalog)

    def undo(self, catalog: ClassCatalog) -> tuple[ClassEdit, ClassCatalog]:
        """Take the newest edit back; :meth:`drop` completes it.

        Returns:
            The edit, and the classes as they were, with those that the edit added behind them. Colours and keys that were
            changed since stay.

        Raises:
            CatalogError: there is no edit that can be undone.
            StorageError: nothing was changed.
        """
        with self._mutex:
            edit = self.newest
            if edit is None or set(edit.after.ids.tolist()) != set(catalog.ids.tolist()):
                raise CatalogError(
                    message("there is no edit of the classes to undo"),
                    why=message("Only the newest one can be undone, once")
                    if self.entries
                    else message("The classes were not edited"),
                    remedy=message("Edit the classes again instead"),
                )
            restored = _restored_classes(edit, catalog)
            added = tuple(catalog.by_id(number) for number in edit.added)
            restored = replace(restored, classes=(*restored.classes, *added))
            self._write((*self.entries[:-1], replace(edit, undone=True)), restored)
            return edit, restored

    def drop(self, catalog: ClassCatalog, unused: Collection[int]) -> ClassCatalog:
        """The project's classes without these, which no pixel has."""
        kept = replace(catalog, classes=tuple(info for info in catalog.classes if info.id not in unused))
        with self._mutex:
            self._write(self.entries, kept)
        return kept

    def _refuse_retired(self, before: ClassCatalog, catalog: ClassCatalog) -> None:
        again = set(self.retired(before)) & set(catalog.ids.tolist())
        if again:
            raise CatalogError(
                message("the id {class_id} was used by a class that is gone", class_id=min(again)),
                why=message("Masks and ground truth may still hold it"),
                remedy=message("Give the class another id, or begin a new project with --project DIR"),
            )

    def _labelled(self) -> bool:
        return self._store.row("SELECT 1 FROM images WHERE mask != '' UNION SELECT 1 FROM steps LIMIT 1") is not None

    def _write(self, entries: tuple[ClassEdit, ...], catalog: ClassCatalog) -> None:
        with self._store.transaction() as connection:
            if any(edit.moved for edit in entries):
                # An older program would take the ids of retired classes for damage.
                self._store.demand_version(WITH_CLASS_EDITS)
            values = {_SETTING: [edit.to_dict() for edit in entries], "catalog": catalog.to_dict()}
            connection.executemany(
                "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in values.items()],
            )
        self.entries = entries

    # -- following -------------------------------------------------------------------------------------------------------

    def follow(self, image: int, load: Callable[[ClassCatalog], LoadedImage], catalog: ClassCatalog) -> LoadedImage:
        """Load an image and bring it up to date.

        Edits that were undone are taken back where the labels had followed them: exactly, if nothing was done since; else in
        the pixels that still have the class that the edit gave them.

        Args:
            load: reads the labels in the catalog that it is given.
            catalog: the project's.

        Raises:
            StorageError: the journal cannot be written; the database is as it was. What ``load`` raises.
        """
        if not self.entries:
            return load(catalog)
        # Of two threads that load an image which is behind, the second one must see the step of the first.
        with self._mutex if self._is_behind(image) else nullcontext():
            loaded = load(self.reading_catalog(catalog))
            with nullcontext() if self._store.read_only else self._store.transaction():
                return self._follow(image, loaded, catalog)

    def _is_behind(self, image: int) -> bool:
        followed = self._followed(image)
        undone = {edit.number for edit in self.entries if edit.undone}
        return followed.number < self.entries[-1].number or not undone.isdisjoint(followed.steps)

    def _follow(self, image: int, loaded: LoadedImage, catalog: ClassCatalog) -> LoadedImage:
        followed = self._followed(image)
        before, document, notices = followed, loaded.document, [loaded.notice] if loaded.notice else []
        by_number = {edit.number: edit for edit in self.entries}
        for number in sorted(followed.steps, reverse=True):
            edit = by_number.get(number)
            if edit is not None and edit.undone:
                followed, notice = self._take_back(image, loaded, edit, followed)
                notices += [notice] if notice else []
        for edit in self.entries:
            if edit.number > followed.number and not edit.undone and edit.moved:
                labels = _moved_ids(document.labels, edit.moved, catalog)
                step = self._append(image, loaded, message("Classes: {edit}", edit=edit.title), labels, document.provenance)
                if step:
                    followed = replace(followed, steps={**followed.steps, edit.number: step})
        followed = replace(followed, number=self.entries[-1].number)
        allowed = _allowed(catalog)
        if not allowed[document.labels].all():
            # Labels of an older or newer database than this one: ids that no class has any more.
            labels = self.current_ids(document.labels, catalog)
            lost = ~allowed[labels]
            if lost.any():
                pixels = f"{int(lost.sum()):,}"
                notices.append(message("{pixels} px had ids that no class of the project has; they became void.", pixels=pixels))
                labels = np.where(lost, catalog.ignore, labels).astype(labels.dtype)
            self._append(image, loaded, message("Classes: ids without a class"), labels, document.provenance)
        document.catalog = catalog
        document.revision = 0
        move = loaded.move
        labelled = bool(loaded.move or loaded.steps)
        if labelled and not self._store.read_only:
            if followed != before:
                sql = "INSERT OR REPLACE INTO results (image, kind, key, data) VALUES (?, ?, ?, ?)"
                self._store.write(sql, (image, _KIND, str(followed.number), followed.to_bytes()))
            move = self._journal.head(image)
        ours = set(before.steps.values())
        known = [step for step in loaded.steps if step.seq > followed.first and step.seq not in ours]
        steps = tuple(_within(known, allowed)) if self.retired(catalog) else tuple(known)
        return LoadedImage(document, steps, move, loaded.saved and move == loaded.move, join_messages(notices))

    def forget(self, image: int) -> None:
        """The labels of an image were given up, or replaced by those of a file: it follows every edit again."""
        self._store.write("DELETE FROM results WHERE image = ? AND kind = ?", (image, _KIND))

    def _take_back(self, image: int, loaded: LoadedImage, edit: ClassEdit, followed: _Followed) -> tuple[_Followed, str]:
        number = followed.steps[edit.number]
        rest = {other: step for other, step in followed.steps.items() if other != edit.number}
        followed = replace(followed, steps=rest)
        step = next((known for known in loaded.steps if known.seq == number), None)
        if step is None:
            return replace(followed, floor=max(followed.floor, number)), (
                message("'{edit}' could not be undone on this image: its undo steps are gone.", edit=edit.title)
            )
        newest = max(known.seq for known in loaded.steps)
        if newest == number and not step.undone:
            loaded.document.apply(step.patch.inverted())
            if not self._store.read_only:
                self._journal.undo(image, number)
                self._journal.retire(image, number)
            return followed, ""
        labels, provenance = _restored(loaded.document.labels, loaded.document.provenance, step.patch)
        made = self._append(image, loaded, message("Classes: undo {edit}", edit=edit.title), labels, provenance)
        return replace(followed, floor=max(followed.floor, number, made)), ""

    def _append(
        self, image: int, loaded: LoadedImage, title: MessageText, labels: LabelMap, provenance: NDArray[np.uint8]
    ) -> int:
        """Change the document, and record it as a step; returns its number, 0 if nothing changed or nothing can be recorded."""
        document = loaded.document
        patch = diff_patch(document.labels, document.provenance, labels, provenance)
        if patch.empty:
            return 0
        document.apply(patch)
        return 0 if self._store.read_only else self._journal.append(image, title, Provenance.USER, patch).seq

    def _followed(self, image: int) -> _Followed:
        row = self._store.row("SELECT data FROM results WHERE image = ? AND kind = ?", (image, _KIND), (bytes,))
        if row is None:
            return _Followed()
        try:
            return _Followed.from_bytes(row[0])
        except _STRANGE:
            return _Followed()  # the edits are applied again, which changes no pixel that has followed them


def _fits(moved: Mapping[int, int | None], before: ClassCatalog, after: ClassCatalog) -> bool:
    """Whether an edit moves ids of the catalog before it to ids of the one after it."""
    known = set(after.ids.tolist())
    return set(moved) <= set(before.ids.tolist()) and all(new is None or new in known for new in moved.values())


@lru_cache(maxsize=4)
def _stamp(catalog: ClassCatalog, moves: tuple[tuple[int, int | None], ...]) -> str:
    # asked for with every image of a folder
    parts = catalog.ids.tolist(), catalog.names, moves
    return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _allowed(catalog: ClassCatalog) -> NDArray[np.bool_]:
    """(256,) or (65536,) bool: values that a map of the catalog may hold."""
    return np.asarray(catalog.index_lut() <= len(catalog))


def _within(steps: Sequence[JournalStep], allowed: NDArray[np.bool_]) -> Iterator[JournalStep]:
    """The steps that can be undone and redone without an id that no class has: other steps block those behind them."""
    done = [step for step in steps if not step.undone]
    undone = [step for step in steps if step.undone]
    first = next((place for place in range(len(done), 0, -1) if not _holds_only(done[place - 1].patch, allowed)), 0)
    last = next((place for place, step in enumerate(undone) if not _holds_only(step.patch, allowed)), len(undone))
    yield from done[first:]
    yield from undone[:last]


def _holds_only(patch: TilePatch, allowed: NDArray[np.bool_]) -> bool:
    sides = (patch.before_tiles(), patch.after_tiles())
    return all(bool(allowed[labels].all()) for side in sides for _, labels, _ in side)


def _restored_classes(edit: ClassEdit, catalog: ClassCatalog) -> ClassCatalog:
    """The classes before an edit; a colour or key that was changed after it stays, and no key is there twice."""
    now = {info.id: info for info in catalog.classes}
    after = {info.id: info for info in edit.after.classes}
    rows: list[ClassInfo] = []
    for info in edit.before.classes:
        if info.id in now and info.id in after:
            color = now[info.id].color if now[info.id].color != after[info.id].color else info.color
            key = now[info.id].key if now[info.id].key != after[info.id].key else info.key
            info = replace(info, color=color, key=key)
        if info.key and any(other.key == info.key for other in rows):
            info = replace(info, key="")
        rows.append(info)
    return replace(edit.before, classes=tuple(rows))


def _moved_ids(labels: LabelMap, moved: Mapping[int, int | None], catalog: ClassCatalog) -> LabelMap:
    table = np.arange(catalog.ignore + 1, dtype=catalog.dtype)
    for old, new in moved.items():
        table[old] = catalog.ignore if new is None else new
    return apply_lut(labels, table)


def _restored(labels: LabelMap, provenance: NDArray[np.uint8], patch: TilePatch) -> tuple[LabelMap, NDArray[np.uint8]]:
    """The maps with what a patch replaced, in the pixels that still have the class that it gave them."""
    labels, provenance = labels.copy(), provenance.copy()
    for (box, old, _), (_, new, _) in zip(patch.before_tiles(), patch.after_tiles(), strict=True):
        where = (old != new) & (labels[box.slices] == new)
        labels[box.slices][where] = old[where]
    return labels, provenance


def parse_entries(values: Any) -> tuple[ClassEdit, ...]:
    """The edits of a project from plain values. Raises what values of the wrong form raise, or CatalogError."""
    entries = tuple(ClassEdit.from_dict(entry) for entry in values)
    if [edit.number for edit in entries] != list(range(1, len(entries) + 1)):
        raise ValueError("the edits are not in order")
    return entries


def _read_entries(store: Store) -> tuple[ClassEdit, ...]:
    row = store.row("SELECT value FROM meta WHERE key = ?", (_SETTING,), (str,))
    if row is None:
        return ()
    try:
        return parse_entries(meta_json(row[0], _SETTING))
    except _STRANGE as error:
        why = message("Its edits of the classes cannot be read: {error}", error=error)
        raise DamagedStore(message("the project's database is damaged"), why=why, path=store.path) from error
