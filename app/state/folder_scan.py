"""Meeting a folder again: which images are new, moved, changed or gone since the project was last open.

Identity is the relative path, and for images with work on them the content. Nothing here reads an image's bytes unless an image
with work on it is gone or looks changed, and a file that could be it has appeared.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from app.state.image_record import ImageFlag
from app.state.store import Store
from deeplab_core.atomic import protect_images
from deeplab_core.errors import ImageReadError, join_messages, plural_message
from deeplab_core.wording import name_some

#: Key of the ``meta`` table: what was left out at the last visit.
_LEFT_OUT = "left_out"

#: At most so many bytes of images are read to tell a copied folder (new times, same content) from renamed files. Whatever is
#: left is compared when the image is opened.
_SUSPECT_BYTES = 200_000_000

#: Whether an image was worked on; a condition on the ``images`` table.
_WORKED_ON = (
    "(status > 0 OR mask != '' OR flags & 16 OR EXISTS (SELECT 1 FROM steps WHERE image = images.id)"
    " OR EXISTS (SELECT 1 FROM results WHERE image = images.id AND kind IN ('ambiguous', 'review')))"
)


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What has happened to a folder's files while the project was closed.

    Attributes:
        added: number of new images.
        removed: number of images that are gone and had no work on them; they are forgotten.
        missing: paths of images that are gone but have work on them; it is kept.
        moved: (old path, new path) of images that were found elsewhere; their work went with them.
        changed: paths of images with other content than the one that was edited.
        left_out: sentences about what the folder holds besides images, if that differs from the last visit.
    """

    added: int = 0
    removed: int = 0
    missing: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    changed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """The report in words, what needs attention only: moved, changed, missing, left out."""
        lines = []
        if self.moved:
            text = plural_message(
                "{n} image was moved; its mask is kept with it.", "{n} images were moved; their masks are kept with them.",
                len(self.moved),
            )  # fmt: skip
            lines.append(join_messages([text, name_some([new for _, new in self.moved], 3)]))
        if self.changed:
            text = plural_message(
                "{n} image changed since the last visit; check its mask.",
                "{n} images changed since the last visit; check their masks.",
                len(self.changed),
            )
            lines.append(join_messages([text, name_some(self.changed, 3)]))
        if self.missing:
            text = plural_message(
                "{n} image with a mask is missing; the mask is kept.", "{n} images with masks are missing; the masks are kept.",
                len(self.missing),
            )  # fmt: skip
            lines.append(join_messages([text, name_some(self.missing, 3)]))
        return (*lines, *self.left_out)


@dataclass(slots=True)
class _Known:
    """A row of the database while it is being matched; ``size`` is -1 where only a mask file knows of the image."""

    id: int
    path: str
    size: int
    mtime_ns: int
    key: str
    flags: int
    worked_on: bool


@dataclass(slots=True)
class _Plan:
    """What will be written."""

    new: list[tuple[str, int, int]] = field(default_factory=list)
    forget: list[tuple[int, int, int]] = field(default_factory=list)  # size, mtime_ns, id: take the new facts, drop the key
    back: list[tuple[int]] = field(default_factory=list)  # ids of images that were missing and are there again
    moved: list[tuple[_Known, str]] = field(default_factory=list)
    changed: list[_Known] = field(default_factory=list)
    suspect: list[_Known] = field(default_factory=list)  # same size, other time
    gone: list[_Known] = field(default_factory=list)


def survey(folder: Path) -> tuple[dict[str, tuple[int, int]], tuple[str, ...]]:
    """Look through a folder of images; from then on none of them is replaced by this process.

    Returns:
        What :func:`stat_images` returns for its images, and sentences about what else it holds and is not offered as an image.

    Raises:
        ImageReadError: the folder does not exist or cannot be opened.
    """
    from deeplab_core.datasets.find import scan_folder

    scan = scan_folder(folder)
    protect_images(folder, scan.images)
    return stat_images(folder, scan.images), scan.left_out()


def unheard(store: Store, left_out: tuple[str, ...]) -> tuple[str, ...]:
    """What of :func:`survey`'s sentences to say: all if anything differs from the last visit, else nothing."""
    text = json.dumps(left_out)
    row = store.row("SELECT value FROM meta WHERE key = ?", (_LEFT_OUT,), (str,))
    if text == (row[0] if row is not None else "[]"):
        return ()
    if not store.read_only:
        store.write("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_LEFT_OUT, text))
    return left_out


def stat_images(folder: Path, paths: Iterable[str]) -> dict[str, tuple[int, int]]:
    """(size in bytes, mtime in ns) by relative path; files that vanish during it are left out."""
    root = os.fspath(folder)
    found = {}
    for path in paths:
        try:
            status = os.stat(f"{root}/{path}")  # noqa: PTH116 - 20,000 Path objects cost more than the calls
        except OSError:
            continue
        found[path] = status.st_size, status.st_mtime_ns
    return found


def reconcile(
    store: Store,
    folder: Path,
    found: dict[str, tuple[int, int]],
    in_use: Collection[int] = (),
    *,
    doubtful: Collection[int] | None = None,
    certain: Collection[str] = (),
) -> ScanReport:
    """Bring the ``images`` table in line with the files in the folder and say what happened.

    Args:
        found: result of :func:`stat_images`.
        in_use: ids of images that count as worked on: a window shows them.
        doubtful: the only images that may differ from their files; None reads the whole table.
        certain: paths of all others.

    Raises:
        StorageError, ProjectError: the database cannot be written or is damaged; nothing was changed.
    """
    known = [
        _Known(image, path, size, mtime_ns, key, flags, bool(worked) or image in in_use)
        for image, path, size, mtime_ns, key, flags, worked in store.rows(
            f"SELECT id, path, size, mtime_ns, content_key, flags, {_WORKED_ON} FROM images {of_images(doubtful)}",
            (),
            (int, str, int, int, str, int, int),
        )
    ]
    plan = _compare(known, found, certain)
    _match_moved(plan, folder, found)
    _write(store, plan, found)
    gone = [row for row in plan.gone if row.worked_on]
    return ScanReport(
        added=len(plan.new),
        removed=len(plan.gone) - len(gone),
        missing=tuple(row.path for row in gone),
        moved=tuple((row.path, path) for row, path in plan.moved),
        changed=tuple(row.path for row in plan.changed),
    )


def look_for_work(store: Store) -> None:
    """Read which images were worked on: a database that is damaged there is noticed before an image is opened.

    Raises:
        DamagedStore, StorageError: it is damaged or cannot be read.
    """
    store.rows(f"SELECT count(*) FROM images WHERE {_WORKED_ON}")


def of_images(ids: Collection[int] | None) -> str:
    """The clause that picks these rows of the ``images`` table; None picks all."""
    return "" if ids is None else f"WHERE id IN ({', '.join(str(int(image)) for image in ids)})"


def _compare(known: list[_Known], found: dict[str, tuple[int, int]], certain: Collection[str]) -> _Plan:
    plan = _Plan()
    paths = set(certain)
    for row in known:
        paths.add(row.path)
        stat = found.get(row.path)
        back = 0
        if stat is None:
            plan.gone.append(row)
        elif stat == (row.size, row.mtime_ns) or row.size < 0:
            back = row.flags & ImageFlag.MISSING
        elif row.worked_on and row.key and stat[0] != row.size:
            plan.changed.append(row)
        elif row.worked_on and row.key:
            # Same size, other time: a copied folder looks like this too. The content is compared when the image is opened.
            back = row.flags & ImageFlag.MISSING
            plan.suspect.append(row)
        else:
            plan.forget.append((*stat, row.id))
        if back:
            plan.back.append((row.id,))
    plan.new = [(path, *stat) for path, stat in found.items() if path not in paths]
    return plan


def _match_moved(plan: _Plan, folder: Path, found: dict[str, tuple[int, int]]) -> None:
    """Find images with work on them under another name: among the new files, and under names with changed content."""
    _question_suspects(plan, folder)
    losers = [row for row in (*plan.gone, *plan.changed) if row.worked_on]
    if not losers:
        return
    openings = [path for path, *_ in plan.new] + [row.path for row in plan.changed]
    taken = _matches(losers, openings, folder, found)
    settled = {row.id for row in taken.values()}
    plan.moved = [(row, path) for path, row in taken.items()]
    plan.new = [entry for entry in plan.new if entry[0] not in taken]
    plan.gone = [row for row in plan.gone if row.id not in settled]
    for row in plan.changed:
        # Its name now belongs to another image, and its own content was found nowhere.
        if row.path in taken and row.id not in settled:
            plan.gone.append(row)
        # Its content went elsewhere, and the file under its old name is a new image.
        if row.path not in taken and row.id in settled:
            plan.new.append((row.path, *found[row.path]))
    plan.changed = [row for row in plan.changed if row.id not in settled and row.path not in taken]


def _matches(losers: list[_Known], openings: list[str], folder: Path, found: dict[str, tuple[int, int]]) -> dict[str, _Known]:
    """Which image has which name now; an image goes to the first name that fits."""
    by_size = defaultdict(list)
    for row in losers:
        by_size[row.size].append(row)
    taken: dict[str, _Known] = {}
    for path in openings:
        size, mtime_ns = found[path]
        candidates = [row for row in by_size.get(size, ()) if row.path != path]
        match = _same_file(candidates, path, mtime_ns) or _same_content(candidates, folder / path) if candidates else None
        if match is not None:
            taken[path] = match
            by_size[size].remove(match)
    return taken


def _question_suspects(plan: _Plan, folder: Path) -> None:
    """Where a new file has the size of an image with a changed time, the two may have traded places: read the image."""
    sizes = {size for _, size, _ in plan.new}
    budget = _SUSPECT_BYTES
    for row in plan.suspect:
        if row.size in sizes and budget >= row.size:
            budget -= row.size
            if _same_content([row], folder / row.path) is None:
                plan.changed.append(row)


def _same_file(candidates: list[_Known], path: str, mtime_ns: int) -> _Known | None:
    """A single candidate of the same name and time in ns: a moved folder, not worth reading its gigabytes.

    The content is compared once more when the image is opened.
    """
    name = PurePosixPath(path).name
    same = [row for row in candidates if row.mtime_ns == mtime_ns and PurePosixPath(row.path).name == name]
    return same[0] if len(same) == 1 else None


def _same_content(candidates: list[_Known], path: Path) -> _Known | None:
    from deeplab_core.images.identity import content_key

    keyed = [row for row in candidates if row.key]
    if not keyed:
        return None
    try:
        key = content_key(path)
    except ImageReadError:
        return None
    return next((row for row in keyed if row.key == key), None)


def _write(store: Store, plan: _Plan, found: dict[str, tuple[int, int]]) -> None:
    gone_missing = ~int(ImageFlag.MISSING)
    with store.transaction() as connection:
        connection.executemany(
            f"UPDATE images SET size = ?, mtime_ns = ?, content_key = '', flags = flags & {gone_missing} WHERE id = ?",
            plan.forget,
        )
        connection.executemany(f"UPDATE images SET flags = flags & {gone_missing} WHERE id = ?", plan.back)
        connection.executemany("DELETE FROM images WHERE id = ?", [(row.id,) for row in plan.gone if not row.worked_on])
        # Paths are unique, and images may have swapped theirs: everybody steps aside before anybody arrives.
        arriving = {path for _, path in plan.moved}
        connection.executemany("UPDATE images SET path = char(0) || id WHERE id = ?", [(row.id,) for row, _ in plan.moved])
        for row in plan.gone:
            if row.worked_on:
                path = f"{row.path} (replaced, {row.id})" if row.path in arriving else row.path
                connection.execute(
                    "UPDATE images SET path = ?, flags = flags | ? WHERE id = ?", (path, ImageFlag.MISSING, row.id)
                )
        for row, path in plan.moved:
            connection.execute(
                f"UPDATE images SET path = ?, size = ?, mtime_ns = ?, flags = flags & {gone_missing} WHERE id = ?",
                (path, *found[path], row.id),
            )
        for row in plan.changed:
            connection.execute(
                f"UPDATE images SET size = ?, mtime_ns = ?, content_key = '', flags = (flags | ?) & {gone_missing} WHERE id = ?",
                (*found[row.path], ImageFlag.CHANGED, row.id),
            )
        connection.executemany("INSERT INTO images (path, size, mtime_ns) VALUES (?, ?, ?)", plan.new)
