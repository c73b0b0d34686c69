"""Torn and damaged project files: one file of a finished project is damaged in one way, and the project opened again.

Survived means: every image looks as it last did; or what is lost is said, by name, in an error of ours or a notice, and what is
shown instead is a look that the image really had (or blank), while all other images are untouched. Where steps themselves are
damaged, the image shows their sound tiles and names them.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from app.state.project import Project
from deeplab_core.errors import AtrousError
from tests.soak.crash import Outcome, Recorded
from tests.soak.oplog import Disk, lay_out
from tests.soak.session import digest, history_of

Damage = Callable[[bytes, random.Random], bytes]

#: A damaged project must be opened, or refused, within so many seconds of processor time.
MOST_SECONDS = 10.0


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(max(1, len(data)))]


def _empty(_data: bytes, _rng: random.Random) -> bytes:
    return b""


def _flip(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 8))):
        if found:
            found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _zero_page(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(max(1, len(data))) // 4096 * 4096
    return data[:start] + bytes(min(4096, len(data) - start)) + data[start + 4096 :]


def _garbage(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(data) or 64)


DAMAGES: Mapping[str, Damage] = {
    "cut": _cut,
    "emptied": _empty,
    "bits flipped": _flip,
    "a page zeroed": _zero_page,
    "garbage": _garbage,
}


def project_files(content: Mapping[str, bytes]) -> list[str]:
    """Files of the project's data; the lock and its kind hold nothing."""
    return sorted(
        path for path in content if path.startswith(".atrous/") and path.rpartition("/")[2] not in ("lock", ".gitignore")
    )


def torn_files(recorded: Recorded, base: Path, tries: int, seed: int = 0) -> Outcome:
    """Damage one file of the project as it was at random instants of a recorded session, ``tries`` times."""
    rng, outcome = random.Random(f"{recorded.seed}/{seed}"), Outcome()
    for number in range(tries):
        upto = rng.randrange(len(recorded.operations) // 2, len(recorded.operations))
        disk = Disk(recorded.start)
        for operation in recorded.operations[:upto]:
            disk.take(operation)
        content = disk.killed()
        path = rng.choice(project_files(content))
        kind = rng.choice([*DAMAGES, "missing"])
        if kind == "missing":
            del content[path]
        else:
            content[path] = DAMAGES[kind](content[path], rng)
        folder = base / "torn"
        lay_out(content, folder)
        outcome.add(
            outcome_of(folder, recorded, upto), f"session {recorded.seed}, try {number}, {path} {kind} after operation {upto}"
        )
    shutil.rmtree(base / "torn", ignore_errors=True)
    return outcome


def outcome_of(folder: Path, recorded: Recorded, upto: int) -> str | None:
    """Open a damaged project; None if that was survived, else what went wrong."""
    began = time.process_time()
    try:
        failure = _open(folder, recorded, upto)
    except Exception as error:  # anything that is not an AtrousError would end in a traceback
        failure = f"uncaught {type(error).__name__}: {error}"
    if time.process_time() - began > MOST_SECONDS:
        failure = f"took {time.process_time() - began:.0f} s"
    return failure


def _open(folder: Path, recorded: Recorded, upto: int) -> str | None:
    ever = recorded.ever(upto)
    newest, flushed = recorded.expected(upto), recorded.durable(upto)
    bounded = recorded.seed % 3 == 0
    try:
        project = Project.open(folder)
    except AtrousError as error:
        return None if error.remedy else f"refused without a remedy: {error}"
    with project:
        for record in project.images:
            try:
                loaded = project.load(record.id)
            except AtrousError as error:
                if not error.remedy:
                    return f"{record.relative_path} refused without a remedy: {error}"
                continue
            said = bool(project.notices or loaded.notice)
            history = [] if bounded else history_of(loaded.steps)
            if digest(loaded.document, history, record.status) in newest[record.relative_path]:
                continue
            if digest(loaded.document, history, record.status) in flushed[record.relative_path]:
                continue  # the end of the log had not been flushed: a power cut could have cost the same
            if not said:
                return f"{record.relative_path} lost something silently"
            if "damaged step" in loaded.notice:
                continue  # the image itself names the steps of which only the sound tiles are shown, and asks to check it
            pixels = digest(loaded.document, (), 0)
            blank = bool((loaded.document.labels == loaded.document.catalog.ignore).all())
            if not blank and pixels not in ever[record.relative_path]:
                return f"{record.relative_path} shows labels that it never had"
    return None
