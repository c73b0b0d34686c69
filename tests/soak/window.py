"""Random actions in the real window: runs of :mod:`tests.soak.monkey`, what must not grow, replaying and shortening a failure.

    python -m tests.soak.window [--seed N] [--actions 2000] [--runs 1]    a table of what was found; status 1 after a failure
    python -m tests.soak.window --replay FILE [--shrink]                  a file's actions again; shortened while they fail

A failure prints its seed, what went wrong, and the place of the list of its actions. Jobs and the compute process run beside the
actions, so that a failure that depends on who comes first may need several replays.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.soak.crash import Outcome
from tests.soak.oplog import ROOT, library

#: The most that each may grow over 1,000 actions, by the robust slope over the second half of a run. Memory is without the undo
#: history, which has a bound of its own; Qt objects are those of the window and the program; ``compute`` is the compute process.
BOUNDS = {
    "memory": 48 * 2**20, "handles": 6.0, "threads": 4.0, "objects": 400.0, "windows": 4.0, "compute": 96 * 2**20,
}  # fmt: skip
#: Rests that a slope needs; shorter runs are not judged by it.
ENOUGH = 20
#: Time of one action in a run, in seconds, after which a run counts as hung.
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a run came to; ``data`` as :class:`tests.soak.monkey.Result`, empty if the process died."""

    failure: str
    actions: list[str]
    data: dict[str, Any]


def slope(samples: Sequence[dict[str, float]], what: str) -> float:
    """Growth per 1,000 actions over the second half of a run: the median of the slopes of all pairs (Theil 1950, Sen 1968)."""
    half = samples[len(samples) // 2 :]
    x, y = np.array([one["actions"] for one in half], float), np.array([one[what] for one in half], float)
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] != x[first]
    steep = (y[second] - y[first])[apart] / (x[second] - x[first])[apart]
    return float(np.median(steep) * 1000) if steep.size else 0.0


def growth(data: dict[str, Any]) -> dict[str, float]:
    """Slopes of a run; empty if it was too short."""
    samples = data.get("samples", [])
    return {what: slope(samples, what) for what in BOUNDS} if len(samples) >= ENOUGH else {}


def _more(data: dict[str, Any]) -> str:
    """Of which classes there are more objects of Qt at the end than in the middle of a run, the most first."""
    kinds = [Counter(one) for one in data.get("kinds", [])]
    more = kinds[-1] - kinds[len(kinds) // 2] if kinds else Counter[str]()
    return ", ".join(f"{name} +{number}" for name, number in more.most_common(8))


def play(base: Path, seed: int, count: int, actions: Sequence[str] | None = None) -> Found:
    """One run in a process of its own, with a home of its own and without a network."""
    shutil.rmtree(base, ignore_errors=True)
    home = base / "home"
    home.mkdir(parents=True)
    private = {name: str(home / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
    environment = os.environ | private | {
        "HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ATROUS_MODEL_DIR": str(home / "models"),
        "FONTCONFIG_FILE": str(ROOT / "tests" / "gui" / "fonts.conf"),
    }  # fmt: skip
    environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    preload = library("network")
    if preload is not None:
        environment |= {"LD_PRELOAD": str(preload), "NETWORK_LOG": str(base / "attempts")}
    command = [sys.executable, "-c", "from tests.soak.monkey import main; main()", str(base), str(seed), str(count)]
    if actions is not None:
        (base / "given").write_text("\n".join(actions), encoding="utf-8")
        command.append(str(base / "given"))
        count = len(actions)
    with (base / "output").open("w", encoding="utf-8") as output:
        try:
            limit = 1200 + PATIENCE * count
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, timeout=limit, check=False)
            status = done.returncode
        except subprocess.TimeoutExpired:
            status = -1
    acted = (base / "actions").read_text(encoding="utf-8").splitlines() if (base / "actions").exists() else []
    if not (base / "result.json").exists():
        last = (base / "output").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
        return Found(f"the program ended with {status}: " + "\n".join(last), acted, {})
    data = json.loads((base / "result.json").read_text(encoding="utf-8"))
    failure = data["failure"]
    if not failure:
        grown = {what: round(found, 1) for what, found in growth(data).items() if found > BOUNDS[what]}
        failure = f"grew per 1,000 actions: {grown}; objects since the middle: {_more(data)}" if grown else ""
    return Found(failure, acted, data)


def sign(failure: str) -> str:
    """What two failures of one cause share: the kind of error and where it came from, without numbers."""
    lines = [line.strip() for line in failure.strip().splitlines()] or [""]
    places = [line.split(", in ")[-1] for line in lines if line.startswith("File ")]
    return " ".join([*places[-1:], "".join(letter for letter in lines[-1] if not letter.isdigit())])


def shrink(base: Path, actions: list[str], failure: str, tries: int) -> list[str]:
    """Fewer actions that fail in the same way, found by leaving parts out, half of them first."""
    part = max(1, len(actions) // 2)
    while tries > 0:
        for begin in range(0, len(actions), part):
            shorter = actions[:begin] + actions[begin + part :]
            tries -= 1
            found = play(base / "shrink", 0, 0, shorter) if shorter else Found("", [], {})
            if found.failure and sign(found.failure) == sign(failure):
                actions = [line for line in shorter if line][: max(1, len(found.actions))]
                print(f"{len(actions)} actions fail as well", file=sys.stderr, flush=True)
                break
            if tries <= 0:
                break
        else:
            if part == 1:
                break
            part = max(1, part // 2)
    return actions


def soaked(base: Path, seed: int, count: int) -> tuple[Outcome, dict[str, Any]]:
    """One seed: each action counts as a try, and the first failure ends the run."""
    found = play(base, seed, count)
    outcome = Outcome(tried=len(found.actions))
    if found.failure:
        kept = Path(tempfile.gettempdir()) / f"atrous-actions-{seed}"
        kept.write_text("\n".join(found.actions), encoding="utf-8")
        outcome.failures.append(
            f"seed {seed}, action {len(found.actions)} ({found.actions[-1:]}): {found.failure}\n"
            f"  again: python -m tests.soak.window --replay {kept} --shrink"
        )
    return outcome, found.data


def report(runs: Sequence[dict[str, Any]]) -> list[str]:
    """What runs found, as rows of Markdown."""
    checks = sum((Counter(run.get("checks", {})) for run in runs), Counter[str]())
    lines = ["| comparison | times |", "|---|---:|", *(f"| {name} | {times:,} |" for name, times in sorted(checks.items()))]
    judged = [(run, growth(run)) for run in runs if growth(run)]
    if judged:
        unit = {"memory": 2**20, "compute": 2**20}
        named = {"memory": "memory of the window, MiB", "compute": "memory of the compute process, MiB"}
        lines += ["", "| growth per 1,000 actions, second half | bound | runs |", "|---|---:|---|"]
        for what, bound in BOUNDS.items():
            scale = unit.get(what, 1)
            values = ", ".join(f"{found[what] / scale:+.1f}" for _, found in judged)
            lines.append(f"| {named.get(what, what)} | {bound / scale:.0f} | {values} |")
    return lines


def main() -> int:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.window", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--actions", type=int, default=2000, help="of each run")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds")
    parser.add_argument("--replay", type=Path, help="do the actions of this file")
    parser.add_argument("--shrink", action="store_true", help="shorten the actions as long as they fail in the same way")
    parser.add_argument("--tries", type=int, default=40, help="replays that shortening may take")
    parser.add_argument("--keep", type=Path, help="folder that keeps result, actions and output of each run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atrous-window-") as name:
        base = Path(name) if options.keep is None else options.keep
        if options.replay is not None:
            return _replay(base, options)
        outcomes, runs = Outcome(), []
        for seed in range(options.seed, options.seed + options.runs):
            outcome, data = soaked(base / str(seed), seed, options.actions)
            outcomes.extend(outcome)
            runs.append(data)
    print("\n".join([*outcomes.failures, f"{outcomes.tried} actions, {len(outcomes.failures)} failures", *report(runs)]))
    return int(bool(outcomes.failures))


def _replay(base: Path, options: argparse.Namespace) -> int:
    actions = options.replay.read_text(encoding="utf-8").splitlines()
    found = play(base / "replay", 0, 0, actions)
    print(found.failure or "no failure this time")
    if found.failure and options.shrink:
        print("\n".join(shrink(base, actions[: len(found.actions)], found.failure, options.tries)))
    return int(bool(found.failure))


if __name__ == "__main__":
    sys.exit(main())
