"""Project folders from someone else: opened, looked at, painted in and saved, each in a process with limits.

Survived means: nothing outside of the project's data has changed (no file written, renamed, truncated or created), nothing ran
for more than 10 s of processor time or took more than 3 GiB, and whatever was refused was refused by an error of ours.
``python -m tests.soak.hostile`` is what runs in that process: it takes folders from its input and answers each with a line. A
process that ended or hung is followed by a new one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.soak.crash import Outcome
from tests.soak.oplog import ROOT
from tests.unit.app.folders import make_folder, paint

SECONDS, MEMORY = 10, 3 << 30

Attack = Callable[[Path, Path], None]  # (folder of the images, a folder beside it with files to protect)


def _database(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / ".atrous/project.db", isolation_level=None)


def _run(folder: Path, *statements: str) -> None:
    connection = _database(folder)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    make(path)


def _link(name: str, target: str) -> Attack:
    def attack(folder: Path, outside: Path) -> None:
        _replace(folder / ".atrous" / name, lambda path: path.symlink_to(outside / target))

    return attack


def _sql(*statements: str) -> Attack:
    return lambda folder, outside: _run(folder, *(text.format(outside=outside) for text in statements))


def _fifo(name: str) -> Attack:
    return lambda folder, _outside: _replace(folder / ".atrous" / name, os.mkfifo)


def _bomb() -> bytes:
    """3 MB that unpack to 3 GB."""
    compressor, zeros = zlib.compressobj(9), bytes(1 << 24)
    # A full flush makes each part independent of those before it, so one part can be repeated.
    first, again = (compressor.compress(zeros) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * 191 + compressor.flush()


def _patch_bomb(folder: Path, _outside: Path) -> None:
    """A step of one tile with content that unpacks to 3 GB; the layout is that of ``TilePatch.to_bytes``."""
    bomb = _bomb()
    data = struct.pack("<4sIIBII", b"ATP1", 90, 130, 1, 1, 1) + struct.pack("<HHII", 0, 0, len(bomb), len(bomb)) + bomb + bomb
    connection = _database(folder)
    connection.execute("UPDATE steps SET patch = ?", (data,))
    connection.close()


def _mask_bomb(folder: Path, _outside: Path) -> None:
    """A mask with a provenance chunk that unpacks to 3 GB."""
    path = next((folder / ".atrous/masks").rglob("*.png"))
    data, bomb = path.read_bytes(), _bomb()
    parts, at = [data[:8]], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"prOV":
            body = bomb
        parts.append(len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big"))
        at += 12 + length
    path.write_bytes(b"".join(parts))


def _foreign_database(folder: Path, _outside: Path) -> None:
    path = folder / ".atrous/project.db"
    for name in ("project.db", "project.db-wal", "project.db-shm"):
        (folder / ".atrous" / name).unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.commit()
    connection.close()


def _whole_folder_is_a_link(folder: Path, outside: Path) -> None:
    shutil.rmtree(folder / ".atrous")
    (folder / ".atrous").symlink_to(outside / "somewhere", target_is_directory=True)


#: What a stranger's project folder may hold. Each starts from a whole project with strokes, saved masks and a status.
ATTACKS: dict[str, Attack] = {
    "lock is a link to a file": _link("lock", "thesis.txt"),
    "lock is a link to a missing file": _link("lock", "missing.txt"),
    "lock is a pipe": _fifo("lock"),
    ".gitignore is a link to a missing file": _link(".gitignore", "missing.txt"),
    ".gitignore is a link to a file": _link(".gitignore", "thesis.txt"),
    ".gitignore is a pipe": _fifo(".gitignore"),
    "masks is a link to a folder": _link("masks", "somewhere"),
    "predictions is a link to a folder": _link("predictions", "somewhere"),
    "backups is a link to a folder": _link("backups", "somewhere"),
    "project.db is a link to a file": _link("project.db", "thesis.txt"),
    "project.db is a link to a missing file": _link("project.db", "missing.db"),
    "project.db is a pipe": _fifo("project.db"),
    "project.db-wal is a link": _link("project.db-wal", "thesis.txt"),
    "the project folder is a link": _whole_folder_is_a_link,
    "mask of an image is a photograph": _sql("UPDATE images SET mask = '../b.png'"),
    "mask of an image is a file elsewhere": _sql("UPDATE images SET mask = '{outside}/thesis.txt'"),
    "mask of an image climbs out": _sql("UPDATE images SET mask = 'masks/../../../outside/thesis.txt'"),
    "mask of an image is the database": _sql("UPDATE images SET mask = 'project.db'"),
    "mask has a zero byte in its name": _sql("UPDATE images SET mask = 'masks/' || char(0) || '.png'"),
    "name of an image climbs out": _sql("UPDATE images SET path = '../outside/picture.png' WHERE id = 1"),
    "name of an image is absolute": _sql("UPDATE images SET path = '{outside}/picture.png' WHERE id = 1"),
    "a view that never ends": _sql(
        "ALTER TABLE images RENAME TO images_",
        "CREATE VIEW images AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1"
        " FROM n) SELECT id, 'p' || id AS path, 1 AS size, 1 AS mtime_ns, '' AS content_key, 0 AS status, 0 AS flags, '' AS note,"
        " '' AS mask, 0 AS mask_move, 0 AS journal_base, '' AS prediction FROM n",
    ),
    "a trigger that deletes strokes": _sql("CREATE TRIGGER bite AFTER INSERT ON moves BEGIN DELETE FROM steps; END"),
    "a trigger that never ends": _sql(
        "CREATE TRIGGER bite AFTER UPDATE ON images BEGIN INSERT INTO meta SELECT 'k' || n, '1' FROM (WITH RECURSIVE c(n) AS"
        " (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c); END"
    ),
    "a status of no version": _sql("UPDATE images SET status = 99"),
    "a negative status": _sql("UPDATE images SET status = -1"),
    "a provenance of no version": _sql("UPDATE steps SET source = 7"),
    "text for a number": _sql("UPDATE images SET mtime_ns = 'yesterday', size = 'large'"),
    "text for a step": _sql("UPDATE steps SET patch = 'a stroke', pixels = 'many'"),
    "moves of missing steps": _sql("DELETE FROM steps"),
    "moves out of order": _sql("UPDATE moves SET direction = -1"),
    "numbers at their end": _sql("UPDATE sqlite_sequence SET seq = 9223372036854775807"),
    "a journal base far ahead": _sql("UPDATE images SET journal_base = 1000000, mask_move = 2000000"),
    "a catalog that is not JSON": _sql("UPDATE meta SET value = 'voc' WHERE key = 'catalog'"),
    "a catalog nested 100,000 deep": lambda folder, outside: _run(
        folder, f"UPDATE meta SET value = '{'[' * 100_000}' WHERE key = 'catalog'"
    ),
    "a catalog with infinite ids": _sql(
        'UPDATE meta SET value = \'{{"name": "x", "ignore": 1e999, "classes": []}}\' WHERE key = \'catalog\''
    ),
    "settings of the wrong kind": _sql("UPDATE meta SET value = '[[1]]' WHERE key != 'catalog'"),
    "a stroke that unpacks to 3 GB": _patch_bomb,
    "a mask that unpacks to 3 GB": _mask_bomb,
    "another program's database": _foreign_database,
    "a newer version": _sql("PRAGMA user_version = 1000"),
    "a page size of another kind and no tables": lambda folder, outside: _replace(
        folder / ".atrous/project.db", lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(4080))
    ),
}


def _prepare(base: Path) -> tuple[Path, Path]:
    """A whole project, and files beside it that nothing may touch."""
    from app.state.project import ImageStatus, Project
    from app.state.provenance import Provenance

    shutil.rmtree(base, ignore_errors=True)
    folder = make_folder(base / "photos", "a.png", "b.png")
    outside = base / "outside"
    (outside / "somewhere").mkdir(parents=True)
    (outside / "thesis.txt").write_text("three years of work\n" * 40)
    make_folder(outside, "picture.png")
    with Project.open(folder) as project:
        for record in project.images:
            document = project.load(record.id).document
            for seed in range(3):
                project.append_step(record.id, f"Brush {seed}", Provenance(3), paint(document, seed))
            project.save_mask(record.id, document.labels, document.provenance, project.journal.head(record.id))
            project.append_step(record.id, "Brush 3", Provenance(3), paint(document, 3))
            project.set_status(record.id, ImageStatus.REVIEWED)
    return folder, outside


def _fingerprint(base: Path) -> dict[str, str]:
    """Everything below ``base`` except the project's own data, with its content."""
    found = {}
    for path in sorted(base.rglob("*")):
        name = path.relative_to(base).as_posix()
        if name.startswith("photos/.atrous"):
            continue
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        else:
            found[name] = "folder" if path.is_dir() else hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
    return found


def hostile_folders(base: Path, names: list[str] | None = None, user: User | None = None) -> Outcome:
    """Try the attacks (all, or those named), each on a fresh project."""
    if user is None:
        with User() as user:
            return hostile_folders(base, names, user)
    outcome = Outcome()
    for name in ATTACKS if names is None else names:
        folder, outside = _prepare(base / "hostile")
        ATTACKS[name](folder, outside)
        database = folder / ".atrous/project.db"
        untouchable = name in ("another program's database", "a newer version")
        content = database.read_bytes() if untouchable else b""
        before = _fingerprint(base / "hostile")
        failure = user.tries(folder)
        changed = sorted({path for path, _ in before.items() ^ _fingerprint(base / "hostile").items()})
        if changed:
            failure = f"changed {', '.join(changed)}"
        elif untouchable and database.read_bytes() != content:
            failure = "the file was changed before it was known"
        outcome.add(failure, name)
    shutil.rmtree(base / "hostile", ignore_errors=True)
    return outcome


class User:
    """Uses projects, one after another, in a process of its own: starting it takes longer than the use of a project."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> User:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def tries(self, folder: Path) -> str | None:
        """Use the project of a folder; what was wrong, or None."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.hostile"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        limit = threading.Timer(120, process.kill)
        limit.start()
        process.stdin.write(f"{json.dumps(str(folder))}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        limit.cancel()
        if not answer:
            return self._end()
        failure: str | None = json.loads(answer)
        return failure

    def _end(self) -> str:
        """End the process; how it ended, and the last that it said."""
        process, self._process = self._process, None
        if process is None:
            return ""
        _, said = process.communicate()
        return f"ended with {process.returncode}: {said.strip().splitlines()[-1:]}"


def _use(folder: Path) -> str | None:
    """Everything a user does with a project, in a hurry."""
    from app.state.project import Project
    from app.state.provenance import Provenance
    from deeplab_core.errors import AtrousError

    try:
        project = Project.open(folder)
    except AtrousError as error:
        return None if error.remedy else f"refused without a remedy: {error}"
    with project:
        for record in project.images:
            try:
                document = project.load(record.id).document
                project.append_step(record.id, "Brush", Provenance(3), paint(document, 9))
                project.save_mask(record.id, document.labels, document.provenance, project.journal.head(record.id))
                project.prediction_of(record.id)
                project.tidy(100)
            except AtrousError as error:
                if not error.remedy:
                    return f"refused without a remedy: {error}"
            try:
                project.start_over(record.id)
            except AtrousError as error:
                if not error.remedy:
                    return f"refused without a remedy: {error}"
        project.sync()
    return None


def main() -> None:
    """Use the projects that the input names, each within the limits."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + SECONDS, hard))
        print(json.dumps(_use(Path(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
