"""Measure this tree and another commit in turn, and print the ratios: ``make bench-compare BASE=commit``.

    python -m tools.bench_compare BASE [CASE ...] [--rounds 3]

Cases are those of ``benchmarks/scale.py``, run by this tree's script on both; every measurement is a process of its own, and the
two sides take turns, so that a machine which gets busier meets both. A ratio is the median of the pairs' ratios; its spread is
their range. The other commit is checked out beside the repository's own work trees and removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_GIT = ("git", "-C", str(ROOT))
DEFAULT = ("bands-1000-classes", "evaluate-1000-classes", "boundary-small", "boundary-4mp", "inspect-4mp", "list-20000")


def measure(tree: Path, case: str, timeout_s: float) -> dict[str, float] | None:
    """One case on one tree; None where it took longer."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "2" if case.startswith("predict") else "1"}
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / "scale.py"), case],
            env=environment, cwd=tree, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise SystemExit(f"{case} failed in {tree}:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(case: str, base: Path, rounds: int, timeout_s: float) -> str:
    """One line of the table."""
    pairs: list[tuple[dict[str, float] | None, dict[str, float] | None]] = []
    for turn in range(rounds):
        trees = (base, ROOT) if turn % 2 == 0 else (ROOT, base)
        found = {tree: measure(tree, case, timeout_s) for tree in trees}
        pairs.append((found[base], found[ROOT]))
    new = [one for _, one in pairs if one is not None]
    both = [(old, one) for old, one in pairs if old is not None and one is not None]
    if not new:
        return f"| {case} | over {timeout_s:.0f} s | over {timeout_s:.0f} s | - | - | - | - |"
    now = statistics.median(one["cpu_s"] for one in new)
    peak = max(one["peak_mb"] for one in new)
    if not both:
        return f"| {case} | over {timeout_s:.0f} s of wall time | {now:.3f} | - | - | - | {peak:.0f} |"
    ratios = sorted(old["cpu_s"] / one["cpu_s"] for old, one in both)
    before = statistics.median(old["cpu_s"] for old, _ in both)
    return (
        f"| {case} | {before:.3f} | {now:.3f} | **{statistics.median(ratios):.2f}x** | {ratios[0]:.2f} to {ratios[-1]:.2f} "
        f"| {max(old['peak_mb'] for old, _ in both):.0f} | {peak:.0f} |"
    )


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A work tree of a commit, removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        subprocess.run([*_GIT, "worktree", "add", "--detach", "--quiet", str(base), commit], check=True)
        try:
            yield base
        finally:
            subprocess.run([*_GIT, "worktree", "remove", "--force", str(base)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE", help="commit to compare with")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"default: {', '.join(DEFAULT)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="of one measurement, wall time")
    options = parser.parse_args()
    with checked_out(options.base) as base:
        commits = [
            subprocess.run([*_GIT, "rev-parse", "--short", name], capture_output=True, text=True, check=True).stdout.strip()
            for name in (options.base, "HEAD")
        ]
        print(f"\n{commits[0]} against {commits[1]} (with what is not committed), CPU seconds, {options.rounds} rounds\n")
        print("| case | before | now | ratio | spread | MB before | MB now |\n|---|---|---|---|---|---|---|", flush=True)
        for case in options.cases or DEFAULT:
            print(row(case, base, options.rounds, options.timeout), flush=True)


if __name__ == "__main__":
    main()
