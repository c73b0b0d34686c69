"""``python -m tools.coverage_floor REPORT``: covered statements of each package against the figures that were reached before.

``make coverage`` runs the tests with pytest-cov, then this. It fails if a package of the core, or ``app.state``, is covered less
than ``tests/coverage.json`` says; ``--write`` puts in what is covered more, and what has no figure yet. It never lowers one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ROOT / "tests" / "coverage.json"

#: Points that a figure may fall without an error: threads and timers take other branches from run to run.
SLACK = 0.2


def package_of(path: str) -> str | None:
    """``deeplab_core/images`` for a module in it, ``deeplab_core`` for modules at the top, ``app/state``; None for all others."""
    parts = Path(path).as_posix().split("/")
    if parts[0] == "deeplab_core":
        return "/".join(parts[:2]) if len(parts) > 2 else parts[0]
    return "app/state" if parts[:2] == ["app", "state"] else None


def percentages(report: Mapping[str, Any]) -> dict[str, float]:
    """Package -> percent of its statements that ran, rounded down to a tenth; from the JSON report of coverage.py."""
    counts: dict[str, list[int]] = {}
    for path, found in report["files"].items():
        package = package_of(path)
        if package is not None:
            row = counts.setdefault(package, [0, 0])
            row[0] += found["summary"]["covered_lines"]
            row[1] += found["summary"]["num_statements"]
    return {name: math.floor(1000 * covered / total) / 10 for name, (covered, total) in sorted(counts.items()) if total}


def fallen(now: Mapping[str, float], floors: Mapping[str, float]) -> list[str]:
    """A line for each package that has a lower figure, or that is no longer measured."""
    lines = []
    for name, floor in floors.items():
        if name not in now:
            lines.append(f"{name}: not measured any more; take it out of {FLOORS.name} if the package is gone")
        elif now[name] < floor - SLACK:
            lines.append(f"{name}: {now[name]:.1f} % of its statements ran, {floor:.1f} % before")
    return lines


def raised(now: Mapping[str, float], floors: Mapping[str, float]) -> dict[str, float]:
    """The figures to keep: the higher of each."""
    return {name: max(now.get(name, 0.0), floors.get(name, 0.0)) for name in sorted({*now, *floors})}


def main(arguments: list[str] | None = None) -> int:
    """Compare, and write if that is asked for; 1 if a package is covered less than before."""
    parser = argparse.ArgumentParser(description="Covered statements of each package, and whether a figure fell.")
    parser.add_argument("report", type=Path, help="JSON report of coverage.py")
    parser.add_argument("--write", action="store_true", help=f"raise the figures of {FLOORS.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    now = percentages(json.loads(options.report.read_text(encoding="utf-8")))
    if not FLOORS.is_file() and not options.write:
        print(f"{FLOORS.relative_to(ROOT)} is missing; --write makes it", file=sys.stderr)
        return 1
    floors: dict[str, float] = json.loads(FLOORS.read_text(encoding="utf-8")) if FLOORS.is_file() else {}
    for name, share in now.items():
        print(f"{share:6.1f} %  {name}" + ("" if name in floors else "  (no earlier figure)"))
    problems = fallen(now, floors)
    for line in problems:
        print(line, file=sys.stderr)
    if options.write:
        FLOORS.write_text(json.dumps(raised(now, floors), indent=1) + "\n", encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
