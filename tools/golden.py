"""``python -m tools.golden``: the program's figures before and after a change of its structure.

``record DIR`` runs predict, refine, evaluate, compare, inspect and the ranking on the sample project, and with ``--photos`` on a
folder with ``images`` and ``labels``, through the command line, and keeps their JSON and the hashes of the masks. ``compare
BEFORE AFTER`` prints which numbers differ; keys that a change renamed on purpose are given with ``--renamed OLD=NEW``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "resources" / "sample_project"
MODELS = ROOT / "resources" / "models"

#: Values that name the machine, the run or the moment, not a figure.
PASSING = frozenset({"seconds", "milliseconds", "time", "made", "started", "created", "version", "images_per_second"})


def _run(*words: str | Path) -> None:
    """Run a command of the program. Exit status 1 is allowed: it means that some file could not be measured."""
    command = [sys.executable, "-m", "app", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command[2:])}\nended with {done.returncode}:\n{done.stderr}")


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.png"))}


def record_set(out: Path, *, images: Path, truth: Path, model: Path, ranking: str, objects: Path | None = None) -> None:
    """Run every command that prints figures on one set of images, and keep what it says in ``out``.

    Args:
        out: folder for the JSON files.
        images: photographs.
        truth: their ground truth, masks of the same names.
        model: network to predict with.
        ranking: name of the ranking command.
        objects: lists of objects of rendered rooms.
    """
    out.mkdir(parents=True)
    work = out / "work"
    plain, refined = work / "plain", work / "refined"
    _run("predict", images, "-o", plain, "--model", model, "--save-confidence", "--device", "cpu")
    _run("refine", images, "-o", refined, "--model", model, "--device", "cpu")
    figures = {name: _hashes(folder) for name, folder in (("plain", plain), ("refined", refined))}
    (out / "masks.json").write_text(json.dumps(figures, indent=1))
    allowed = ["--truth", truth, "--resamples", "200"]
    for name, folder in (("plain", plain), ("refined", refined)):
        _run("evaluate", "--prediction", folder, "--images", images, *allowed, "--json", out / f"evaluate_{name}.json")
    _run(
        "compare",
        out / "evaluate_plain.json",
        out / "evaluate_refined.json",
        "--resamples",
        "500",
        "--json",
        out / "compare.json",
    )
    _run(
        "compare", plain, refined, "--truth", truth, "--images", images, "--resamples", "500",
        "--json", out / "compare_folders.json",
    )  # fmt: skip
    more = [] if objects is None else ["--objects", objects]
    _run(
        "inspect", "--prediction", plain, "--truth", truth, "--images", images, "--second", refined, *more,
        "--top", "50", "--json", out / "inspect.json",
    )  # fmt: skip
    _run(
        ranking, images, "--model", model, "--flip", "--crf", "v1", "--truth", truth, "--label-errors", "--top", "50",
        "--device", "cpu", "--json", out / "rank.json",
    )  # fmt: skip
    _run("refine", images, "--model", model, "--truth", truth, "--search", "--folds", "2", "--limit", "6", "--device", "cpu",
         "--report", out / "search.json")  # fmt: skip
    shutil.rmtree(work)


def numbers(value: Any, renamed: dict[str, str], place: str = "") -> Iterator[tuple[str, float | str]]:
    """Every number of a JSON value, and every hash, as (place, value); keys by their new names, passing values left out."""
    if isinstance(value, dict):
        for key in sorted(value, key=lambda key: renamed.get(key, key)):
            if key not in PASSING:
                yield from numbers(value[key], renamed, f"{place}/{renamed.get(key, key)}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from numbers(item, renamed, f"{place}/{number}")
    elif isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) == 64):
        yield place, value


def differences(before: Path, after: Path, renamed: dict[str, str]) -> list[str]:
    """One line for each number that is not the same in the files of two recorded folders."""
    found = []
    for path in sorted(before.rglob("*.json")):
        name = path.relative_to(before)
        if not (after / name).is_file():
            found.append(f"{name}: missing")
            continue
        old = dict(numbers(json.loads(path.read_text()), renamed))
        new = dict(numbers(json.loads((after / name).read_text()), {}))
        found += [
            f"{name}{place}: {old.get(place)} -> {new.get(place)}"
            for place in sorted(old.keys() | new.keys())
            if repr(old.get(place)) != repr(new.get(place))
        ]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Record or compare; exit status 1 if figures differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run the commands and keep their figures")
    recording.add_argument("out", type=Path)
    recording.add_argument("--photos", type=Path, help="folder with images/ and labels/ of VOC classes")
    recording.add_argument("--photos-model", type=Path, help="network for them")
    recording.add_argument("--ranking", default="rank", help="name of the ranking command")
    comparing = commands.add_parser("compare", help="say which figures differ")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--renamed", action="append", default=[], metavar="OLD=NEW", help="a key that was renamed on purpose")
    options = parser.parse_args(arguments)
    if options.command == "record":
        record_set(
            options.out / "rooms",
            images=SAMPLE / "images",
            truth=SAMPLE / "truth",
            objects=SAMPLE / "objects",
            model=MODELS / "rooms-voc.safetensors",
            ranking=options.ranking,
        )
        if options.photos is not None:
            record_set(
                options.out / "photos",
                images=options.photos / "images",
                truth=options.photos / "labels",
                model=options.photos_model or MODELS / "rooms-voc.safetensors",
                ranking=options.ranking,
            )
        return 0
    found = differences(options.before, options.after, dict(pair.split("=", 1) for pair in options.renamed))
    print("\n".join(found) or "every figure is the same")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
