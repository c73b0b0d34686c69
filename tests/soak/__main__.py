"""``make soak``: everything that the tests try a part of, and the table of docs/reliability.md.

``python -m tests.soak --write`` tries all of it (about two hours) and replaces the table. ``--sessions``, ``--tries``,
``--inputs``, ``--rounds`` and ``--actions`` set how much, ``--only`` tries a part and keeps the other rows. The same seeds give
the same places. Exit status 1 if anything was not survived.
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

from tests.soak import fuzz
from tests.soak.crash import Outcome, Recorded, failing_disk, kill_points, power_cuts, record
from tests.soak.damage import torn_files
from tests.soak.hostile import hostile_folders
from tests.soak.oplog import ROOT, library
from tests.soak.surroundings import surroundings
from tests.soak.window import report, soaked
from tests.soak.worker import in_a_process as disturbed

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
    *fuzz.ROWS,
    "The compute process killed, stopped, cancelled, restarted: one answer each",
    "Random actions in the real window: nothing lost, nothing broken, nothing grows",
)
WORKER_ROW, WINDOW_ROW = ROWS[-2:]
PARTS = ("crashes", "hostile", "surroundings", "fuzz", "worker", "window")


def main() -> int:
    """Parse the command line, try everything, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=12, help="recorded sessions of corrections")
    parser.add_argument("--tries", type=int, default=150, help="places per session and kind of crash")
    parser.add_argument("--seed", type=int, default=0, help="number of the first session")
    parser.add_argument("--inputs", type=int, default=5000, help="damaged inputs of all readers together")
    parser.add_argument("--rounds", type=int, default=60, help="disturbances of the compute process")
    parser.add_argument("--actions", type=int, default=2000, help="random actions in the window")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to try; the rows of the others are kept")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/reliability.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atrous-soak-") as name:
        outcomes = try_all(Path(name), options)
    for title, outcome in outcomes.items():
        for failure in outcome.failures:
            print(f"NOT SURVIVED  {title}: {failure}")
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    kept, tail = rest.split(END)
    text = table(outcomes, kept.splitlines() if set(options.only) != set(PARTS) else [])
    print(text)
    if options.write:
        PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")
    return int(any(outcome.failures for outcome in outcomes.values()))


def try_all(base: Path, options: argparse.Namespace) -> dict[str, Outcome]:
    """The chosen rows of the table; the first seven need a C compiler and are left out without one."""
    outcomes = {title: Outcome() for title in ROWS}
    if "crashes" in options.only and library() is not None:
        for number in range(options.seed, options.seed + options.sessions):
            recorded = record(base, number, 60)
            for title, run in zip(ROWS, _crashes(recorded, base, options.tries), strict=False):
                outcomes[title].extend(_timed(f"session {number}: {title}", run))
    if "hostile" in options.only:
        outcomes[ROWS[7]].extend(_timed(ROWS[7], lambda: hostile_folders(base)))
    if "surroundings" in options.only:
        outcomes[ROWS[8]].extend(_timed(ROWS[8], lambda: surroundings(base / "stories")))
    if "fuzz" in options.only:
        for title, (family, share) in fuzz.ROWS.items():
            count, first = round(share * options.inputs), 1_000_000 * options.seed
            outcomes[title].extend(_timed(title, lambda f=family, c=count, n=first: fuzz.fuzz(f, c, n)))  # type: ignore[misc]
    if "worker" in options.only:
        outcomes[WORKER_ROW].extend(_timed(WORKER_ROW, lambda: disturbed(options.rounds, options.seed)))
    if "window" in options.only:
        outcomes[WINDOW_ROW].extend(_timed(WINDOW_ROW, lambda: _window(base / "window", options)))
    return {title: outcome for title, outcome in outcomes.items() if outcome.tried}


def _window(base: Path, options: argparse.Namespace) -> Outcome:
    outcome, data = soaked(base, options.seed, options.actions)
    print("\n".join(report([data])), file=sys.stderr, flush=True)
    return outcome


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


def table(outcomes: dict[str, Outcome], kept: list[str]) -> str:
    """The rows as Markdown, in their order; rows that were not tried are taken from ``kept``."""
    lines = ["| what | tried | survived |", "|---|---:|---:|"]
    for title in ROWS:
        if title in outcomes:
            lines.append(f"| {title} | {outcomes[title].tried:,} | {outcomes[title].survived:,} |")
        else:
            lines += [line for line in kept if line.startswith(f"| {title} |")]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
