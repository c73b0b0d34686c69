"""``atrous bench``: how fast this computer labels the user's own images, in the form of the project's tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import emit
from app.cli.model_choice import model_option, model_options, report_model, resolve_model
from app.cli.options import json_lines_option, network_options
from app.cli.terminal import say
from app.paths import SAMPLE_PROJECT
from app.services.folders import engine_trials_file
from deeplab_core.errors import AtrousError, one_image
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.inference import Predictor
    from deeplab_core.records import EngineChoice, Precision

#: Images that are measured.
_IMAGES = 8


@click.command()
@click.argument("images", metavar="[IMAGES]", required=False, type=click.Path(exists=True, path_type=Path))
@model_option
@model_options
@network_options
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Rounds; medians are printed.")
@json_lines_option("Print one JSON line for each row.")
def bench(
    images: Path | None,
    *,
    model_name: str,
    options_of_model: dict[str, Any],
    output_stride: int | None,
    device: str,
    precision: Precision,
    rounds: int,
    as_json: bool,
) -> int:
    """Measure a model on a few images: every installed engine, and images one after the other or side by side.

    IMAGES is a file or a folder [default: the sample project]. Rows of one table take turns, so compare rows of one run only.
    CPU time is that of all threads: it says what the work costs, also while other programs run.
    """
    from deeplab_core.backends.engines import installed_engines
    from deeplab_core.inference import Predictor
    from deeplab_core.records import PredictOptions
    from deeplab_core.weights import load_model

    model, card = load_model(resolve_model(model_name), output_stride=output_stride, options=options_of_model)
    engines: list[EngineChoice] = ["torch", *installed_engines()]
    plain = PredictOptions(output_stride=output_stride, device=device, precision=precision)
    options = {name: replace(plain, engine=name) for name in engines}
    predictor = Predictor(model, card, options=options["torch"], device=device, trials=engine_trials_file())
    if predictor.device.type != "cpu" or predictor.model.engine is not None:
        engines = ["torch"]
    found = _read(images or SAMPLE_PROJECT / "images", predictor.model.in_channels)
    if not as_json:
        report_model(card)
        say("\n".join(_about(predictor, [rgb.shape for rgb in found])))
    rows = [_by_engine(predictor, options, engines, found, rounds), _by_folder(predictor, found, rounds)]
    for title, columns, table in rows:
        if as_json:
            for row in table:
                emit("measured", table=title, **row)
        else:
            say("\n".join(_markdown(title, columns, table)))
    return 0


def _read(images: Path, channels: int) -> list[Any]:
    from deeplab_core.datasets import find_images
    from deeplab_core.images import read_image

    paths = [images / name for name in find_images(images)] if images.is_dir() else [images]
    found = []
    for path in paths:
        try:
            with one_image(path):
                found.append(read_image(path, fourth=channels == 4).pixels(channels))
        except AtrousError as error:
            say(f"atrous: left out: {error}", err=True)
        if len(found) == _IMAGES:
            break
    if not found:
        raise click.UsageError(f"no image that can be read in {images}")
    return found


def _about(predictor: Predictor, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    from deeplab_core import __version__
    from deeplab_core.backends.engines import PACKAGES, installed_version
    from deeplab_core.inference.device import processor
    from deeplab_core.networks import compute_threads

    sizes = sorted({f"{shape[1]} x {shape[0]}" for shape in shapes})
    versions = [f"{name} {version}" for name in ("torch", *PACKAGES.values()) if (version := installed_version(name))]
    return [
        f"{count(len(shapes), 'image')} ({', '.join(sizes)} px), stride {predictor.model.output_stride}, on {predictor.device}",
        f"{processor()}; {count(compute_threads(), 'thread')}; atrous {__version__}, {', '.join(versions)}",
    ]


def _by_engine(
    predictor: Predictor, options: dict[EngineChoice, Any], engines: Sequence[EngineChoice], images: Sequence[Any], rounds: int
) -> tuple[str, Sequence[str], list[dict[str, Any]]]:
    """Array to label map, by engine."""
    import numpy as np

    labels = {name: [predictor(rgb, options=options[name]).labels for rgb in images] for name in engines}

    def way(name: EngineChoice) -> Callable[[], object]:
        return lambda: [predictor(rgb, options=options[name]) for rgb in images]

    timed = _interleaved({name: way(name) for name in engines}, rounds, len(images))
    own = predictor.model.engine  # of a graph, which no other engine runs
    rows = []
    for name in engines:
        row = _row("engine", name if own is None else own.name, timed[name], timed["torch"])
        if own is None:
            equal = [float(np.mean(one == other)) for one, other in zip(labels[name], labels["torch"], strict=True)]
            row["labels as torch, %"] = round(100 * float(np.mean(equal)), 3)
        rows.append(row)
    return "Array to label map", list(rows[0]), rows


def _by_folder(predictor: Predictor, images: Sequence[Any], rounds: int) -> tuple[str, Sequence[str], list[dict[str, Any]]]:
    """A folder: one image after the other with all threads, and side by side with one each."""
    from deeplab_core.inference import one_thread_each, single_thread
    from deeplab_core.networks import compute_threads

    def in_turn() -> None:
        for rgb in images:
            predictor(rgb)

    threads = compute_threads()
    ways: dict[str, Callable[[], object]] = {f"one after the other, {count(threads, 'thread')}": in_turn}
    if predictor.device.type == "cpu" and predictor.model.engine is None and threads > 1:

        def apart() -> None:
            with one_thread_each(predictor, threads), ThreadPoolExecutor(threads, initializer=single_thread) as pool:
                list(pool.map(predictor, images))

        ways[f"{threads} side by side, 1 thread each"] = apart
    timed = _interleaved(ways, rounds, len(images))
    first = next(iter(ways))
    rows = [_row("folder", name, times, timed[first]) for name, times in timed.items()]
    return "Folder, forward passes", list(rows[0]), rows


def _interleaved(ways: dict[Any, Callable[[], object]], rounds: int, images: int) -> dict[Any, list[tuple[float, float]]]:
    """(CPU, wall) milliseconds an image of each way, a pair for each round; every way runs once before."""
    found: dict[Any, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, work in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            if turn:
                found[name].append((1e3 * (time.process_time() - cpu) / images, 1e3 * (time.perf_counter() - wall) / images))
    return found


def _row(column: str, name: str, times: Sequence[tuple[float, float]], base: Sequence[tuple[float, float]]) -> dict[str, Any]:
    cpu, wall = (statistics.median(pair[place] for pair in times) for place in (0, 1))
    ratios = [before[0] / now[0] for before, now in zip(base, times, strict=True) if now[0]]
    return {
        column: name, "CPU ms": round(cpu, 1), "wall ms": round(wall, 1), "images/s": round(1e3 / wall, 2),
        "CPU ratio": round(statistics.median(ratios), 2) if ratios else None,
        "spread": f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "",
    }  # fmt: skip


def _markdown(title: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["", title, "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(str(row[column]) for column in columns)} |" for row in rows]
