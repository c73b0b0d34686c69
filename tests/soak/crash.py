"""Crash points, power cuts and failing disks: a recorded session is ended in many ways, and its project opened after each."""

from __future__ import annotations

import errno
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.state.log_mark import INTERRUPTED
from app.state.project import Project
from deeplab_core.errors import AtrousError
from tests.soak.oplog import ROOT, Operation, environment, lay_out, partial, read_log, states
from tests.soak.session import IMAGES, digest, history_of
from tests.unit.app.folders import make_folder


@dataclass(slots=True)
class Outcome:
    """How many ways of one kind were tried, and what went wrong in those that were not survived."""

    tried: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, failure: str | None, where: str) -> None:
        """Count one try; ``failure`` is what went wrong, None if nothing did."""
        self.tried += 1
        if failure is not None:
            self.failures.append(f"{where}: {failure}")

    def extend(self, other: Outcome) -> None:
        """Count the tries of another outcome, too."""
        self.tried += other.tried
        self.failures += other.failures

    @property
    def survived(self) -> int:
        return self.tried - len(self.failures)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session's record.

    Attributes:
        seed: of the session.
        start: the folder before it, by relative path.
        operations: what it did to the files, and its marks.
    """

    seed: int
    start: dict[str, bytes]
    operations: list[Operation]

    def expected(self, upto: int) -> dict[str, list[str]]:
        """Per image: the looks it may have when the program ends after ``upto`` operations: the last one marked, or the next."""
        return {image: looks[max(0, last) : last + 2] for image, (looks, last) in self._looks(upto).items()}

    def durable(self, upto: int) -> dict[str, list[str]]:
        """Per image: the looks that it may have after a power cut: the last one that was flushed, or any later one."""
        marks, flushed = 0, 0
        for operation in self.operations[:upto]:
            if operation.kind == "m" and operation.path.startswith("durable "):
                flushed = max(flushed, int(operation.path.split()[1]))
        last: dict[str, int] = {}
        counts: dict[str, int] = {}
        for operation in self.operations:
            if operation.kind == "m" and operation.path.startswith("state "):
                marks += 1
                image = operation.path.split()[1]
                counts[image] = counts.get(image, 0) + 1
                if marks <= flushed:
                    last[image] = counts[image]
        looks = self._looks(upto)
        return {image: looks[image][0][last.get(image, 0) : looks[image][1] + 2] for image in IMAGES}

    def ever(self, upto: int) -> dict[str, set[str]]:
        """Per image: hashes of every label map that it had within the first ``upto`` operations, and the one on its way."""
        found: dict[str, set[str]] = {image: set() for image in IMAGES}
        beyond: set[str] = set()
        for number, operation in enumerate(self.operations):
            if operation.kind == "m" and operation.path.startswith("state "):
                _, image, _look, pixels = operation.path.split()
                if number < upto or image not in beyond:
                    found[image].add(pixels)
                if number >= upto:
                    beyond.add(image)
        return found

    def _looks(self, upto: int) -> dict[str, tuple[list[str], int]]:
        """Per image: every look it ever had, the blank one (an empty word) first, and the place of the last one by then."""
        found: dict[str, tuple[list[str], int]] = {image: ([""], 0) for image in IMAGES}
        for number, operation in enumerate(self.operations):
            if operation.kind == "m" and operation.path.startswith("state "):
                _, image, look, _pixels = operation.path.split()
                looks, last = found[image]
                found[image] = ([*looks, look], len(looks) if number < upto else last)
        return found


def run_session(
    folder: Path, seed: int, actions: int, *, fail: tuple[int, int, int] | None = None, log: Path | None = None
) -> str:
    """Run one session in a process of its own; returns what it printed."""
    command = [sys.executable, "-m", "tests.soak.session", str(folder), str(seed), str(actions)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(folder, log, fail=fail), capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode:
        raise AssertionError(f"the session ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def record(base: Path, seed: int, actions: int) -> Recorded:
    """Record one session in a fresh folder below ``base``."""
    folder, log = make_folder(base / f"photos{seed}", *IMAGES), base / f"log{seed}"
    start = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    run_session(folder, seed, actions, log=log)
    return Recorded(seed, start, read_log(log, folder))


def kill_points(recorded: Recorded, base: Path, tries: int, seed: int = 0) -> Outcome:
    """End the program at ``tries`` places of the record, a third of the writes in their middle."""
    rng, outcome = random.Random(seed), Outcome()
    for number, disk in states(recorded.operations, recorded.start, _places(recorded, rng, tries)):
        following = recorded.operations[number] if number < len(recorded.operations) else None
        content = disk.killed()
        where = f"session {recorded.seed}, killed after operation {number}"
        if following is not None and following.kind == "w" and rng.random() < 0.33:
            content = _with(recorded, number, partial(following, rng.random()))
            where += " and a part of the next write"
        lay_out(content, base / "killed")
        outcome.add(check(base / "killed", recorded.expected(number), bounded=recorded.seed % 3 == 0), where)
    return outcome


def power_cuts(recorded: Recorded, base: Path, tries: int, seed: int = 0, *, strict: bool) -> Outcome:
    """Cut the power at ``tries`` places of the record."""
    rng, outcome = random.Random(seed), Outcome()
    for number, disk in states(recorded.operations, recorded.start, _places(recorded, rng, tries)):
        lay_out(disk.power_cut(rng, strict=strict), base / "cut")
        failure = check(base / "cut", recorded.durable(number), bounded=recorded.seed % 3 == 0, notices=True)
        outcome.add(failure, f"session {recorded.seed}, {'strict ' if strict else ''}power cut after operation {number}")
    return outcome


def failing_disk(base: Path, seed: int, actions: int, places: Sequence[int], code: int, count: int) -> Outcome:
    """Let ``count`` operations fail from each of ``places`` on; the session must go on, and end with everything saved."""
    outcome = Outcome()
    for place in places:
        folder, log = make_folder(base / f"fail{place}", *IMAGES), base / f"fail{place}.log"
        where = f"session {seed}, operations {place} to {place + count - 1} fail with {errno.errorcode[code]}"
        try:
            run_session(folder, seed, actions, fail=(place, count, code), log=log)
        except AssertionError as error:
            outcome.add(str(error), where)
            continue
        start = {path: (folder / path).read_bytes() for path in IMAGES}
        recorded = Recorded(seed, start, read_log(log, folder))
        words = {operation.path for operation in recorded.operations if operation.kind == "m"}
        if not recorded.operations:
            failure = check(folder, {image: [""] for image in IMAGES}, bounded=False)
        elif "whole" not in words:
            failure = "the session could not save everything after the disk worked again"
        else:
            last = {image: looks[-1:] for image, looks in recorded.expected(len(recorded.operations)).items()}
            failure = check(folder, last, bounded=seed % 3 == 0)
        outcome.add(failure, where)
    return outcome


def check(folder: Path, allowed: dict[str, list[str]], *, bounded: bool, notices: bool = False) -> str | None:
    """Open the project and compare each image with the looks it may have; None if all is well, else what is wrong.

    Args:
        bounded: the journal was bounded, so histories are not compared.
        notices: whether opening may show messages: after a power cut the program reports what had not reached the disk. That
            the change is missing that was being committed may be said in any case.
    """
    try:
        with Project.open(folder) as project:
            said = [notice for notice in project.notices if str(INTERRUPTED) not in notice]
            if said and not notices:
                return f"said: {said[0]}"
            for record in project.images:
                loaded = project.load(record.id)
                history = [] if bounded else history_of(loaded.steps)
                look = digest(loaded.document, history, record.status)
                blank = (loaded.document.labels == loaded.document.catalog.ignore).all() and not loaded.steps
                looks = allowed[record.relative_path]
                if look not in looks and not ("" in looks and blank):
                    found = "blank" if blank else look[:8]
                    return f"{record.relative_path} looks like none of its {len(looks)} allowed states ({found})"
    except AtrousError as error:
        return f"cannot be opened: {error}"
    return None


def _places(recorded: Recorded, rng: random.Random, tries: int) -> list[int]:
    """Places spread over the record; all of them if the record has at most ``tries``."""
    every = [number for number, operation in enumerate(recorded.operations, 1) if operation.kind != "m"]
    return every if len(every) <= tries else rng.sample(every, tries)


def _with(recorded: Recorded, upto: int, last: Operation) -> dict[str, bytes]:
    found: Iterator[tuple[int, object]] = states([*recorded.operations[:upto], last], recorded.start, [upto + 1])
    return next(found)[1].killed()  # type: ignore[attr-defined, no-any-return]
