"""``make soak``: everything that the tests try a part of, and the table of docs/reliability.md.

``python -m tests.soak --write`` tries all of it (about half an hour) and replaces the table; ``--sessions`` and ``--tries`` set
how much. The same seeds give the same places. Exit status 1 if anything was not survived.
"""

from __future__ import annotations

import argparse
import errno
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak.crash import Outcome, Recorded, failing_disk, kill_points, power_cuts, record
from tests.soak.damage import torn_files
from tests.soak.hostile import hostile_folders
from tests.soak.oplog import ROOT, library
from tests.soak.surroundings import surroundings

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- figures: written by make soak -->", "<!-- end of figures -->"

#: Title of each row, and how it is counted.
ROWS = (
    "Killed at a file operation, a third of them inside a write",
    "Power cut, ordered file system: unflushed sectors lost or torn",
    "Power cut, strict POSIX: unflushed names lost, too",
    "The n-th file operation fails once (EIO)",
    "25 file operations fail in a row (ENOSPC)",
    "400 file operations fail in a row (EIO)",
    "A project file cut, emptied, damaged or missing",
    "A stranger's project folder",
    "Surroundings: disks, copies, clocks, names, versions",
)


def main() -> int:
    """Parse the command line, try everything, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=12, help="recorded sessions of corrections")
    parser.add_argument("--tries", type=int, default=150, help="places per session and kind of crash")
    parser.add_argument("--seed", type=int, default=0, help="number of the first session")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/reliability.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atrous-soak-") as name:
        outcomes = try_all(Path(name), options.sessions, options.tries, options.seed)
    for title, outcome in outcomes.items():
        for failure in outcome.failures:
            print(f"NOT SURVIVED  {title}: {failure}")
    text = table(outcomes)
    print(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return int(any(outcome.failures for outcome in outcomes.values()))


def try_all(base: Path, sessions: int, tries: int, seed: int) -> dict[str, Outcome]:
    """Every row of the table; the first seven need a C compiler and are left out without one."""
    outcomes = {title: Outcome() for title in ROWS}
    if library() is not None:
        for number in range(seed, seed + sessions):
            recorded = record(base, number, 60)
            for title, run in zip(ROWS, _crashes(recorded, base, tries), strict=False):
                outcomes[title].extend(_timed(f"session {number}: {title}", run))
    outcomes[ROWS[7]].extend(_timed(ROWS[7], lambda: hostile_folders(base)))
    outcomes[ROWS[8]].extend(_timed(ROWS[8], lambda: surroundings(base / "stories")))
    return {title: outcome for title, outcome in outcomes.items() if outcome.tried}


def _crashes(recorded: Recorded, base: Path, tries: int) -> list[Callable[[], Outcome]]:
    rng = random.Random(recorded.seed)
    count = sum(operation.kind != "m" for operation in recorded.operations)

    def failing(code: int, length: int) -> Callable[[], Outcome]:
        places = sorted(rng.sample(range(1, count), max(4, tries // 12)))
        return lambda: failing_disk(base / f"failing{length}-{recorded.seed}", recorded.seed, 60, places, code, length)

    return [
        lambda: kill_points(recorded, base, tries),
        lambda: power_cuts(recorded, base, tries, strict=False),
        lambda: power_cuts(recorded, base, tries, strict=True),
        failing(errno.EIO, 1),
        failing(errno.ENOSPC, 25),
        failing(errno.EIO, 400),
        lambda: torn_files(recorded, base, tries // 2),
    ]


def _timed(title: str, run: Callable[[], Outcome]) -> Outcome:
    began = time.monotonic()
    outcome = run()
    print(f"{title}: {outcome.survived} of {outcome.tried} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    return outcome


def table(outcomes: dict[str, Outcome]) -> str:
    """The rows as Markdown."""
    lines = ["| what | tried | survived |", "|---|---:|---:|"]
    return "\n".join(lines + [f"| {title} | {outcome.tried:,} | {outcome.survived:,} |" for title, outcome in outcomes.items()])


if __name__ == "__main__":
    sys.exit(main())
