"""A folder of JPEG photographs from file to mask, against the bare forward passes on the same cores.

    OMP_NUM_THREADS=2 python benchmarks/predict_folder.py FOLDER --models rooms-voc --engines torch onnx

FOLDER holds JPEG files; they are read as they are (500 x 375 px in the table). Ways of a round take turns, in one process:

- network alone: inputs that are ready, to coarse scores, as many images as cores with one thread each;
- array to label map: decoded pixels to labels, the same way;
- files: what ``atrous predict`` does between its first and its last image, in files and durable masks;
- files, one thread: decode, predict and write in one thread: what the work costs where no thread waits;
- files, one at a time: all threads share each image, as ``atrous predict`` does with fewer images than cores.

Images a second and CPU milliseconds of an image (all threads): medians of the rounds, ratios of pairs of one round.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from app.cli.model_choice import resolve_model
from app.cli.plan import Task
from app.cli.predict import write_prediction
from app.cli.predict_run import outcomes
from app.services.folders import engine_trials_file
from deeplab_core.images import read_image
from deeplab_core.inference import PredictOptions, Predictor, freed_memory_kept, one_thread_each, single_thread
from deeplab_core.inference.image_run import ImageRun
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.inference.network import Pass, TiledNetwork, canvas_for
from deeplab_core.inference.pixels import resize_rgb
from deeplab_core.weights import load_model

#: Distinct inputs of the network that are kept ready.
_READY = 24


class Ready:
    """A canvas that is made already."""

    def __init__(self, window: Any) -> None:
        self._window = window

    def window(self, *_place: int) -> Any:
        """The whole of it."""
        return self._window


def network_alone(predictor: Predictor, arrays: list[Any]) -> list[Callable[[], object]]:
    """The bare forward passes of some images."""
    options, monitor = predictor.options, ProgressMonitor(None, None)
    calls = []
    for rgb in arrays[:_READY]:
        network = TiledNetwork(predictor.model, predictor.device, "fp32")
        run = ImageRun(predictor, options, network, monitor, [])
        frame = run.frame(rgb.shape[:2], 1.0)
        canvas = canvas_for(predictor.model, resize_rgb(rgb, frame.scaled), predictor.card.preprocessing, predictor.device, frame)
        ready: Any = Ready(canvas.window(0, 0, *frame.canvas))

        def call(rgb: Any = rgb, run: ImageRun = run, ready: Any = ready, size: Any = frame.canvas) -> object:
            if options.engine != "torch":
                run.network.compiled = run.choose_engine(rgb).network
            return run.network.whole(ready, size, monitor, Pass())

        calls.append(call)
    return calls


def ways(predictor: Predictor, paths: list[Path], out: Path, cores: int) -> dict[str, Callable[[], object]]:
    """Each way, for all images."""
    data = [read_image(path).rgb for path in paths]
    alone = network_alone(predictor, data)
    names = itertools.count()

    def tasks() -> list[Task]:
        folder = out / str(next(names))
        return [Task(path, path.name, folder / f"{path.stem}.png") for path in paths]

    def write(task: Task, prediction: Any, image: Any) -> None:
        write_prediction(task, prediction, image, predictor.card, "stored")

    def apart(work: Callable[[Any], object], items: list[Any]) -> None:
        with (
            freed_memory_kept(),
            one_thread_each(predictor, cores),
            ThreadPoolExecutor(cores, initializer=single_thread) as pool,
        ):
            for future in [pool.submit(work, item) for item in items]:
                future.result()

    def files(at_once: int) -> None:
        for future in outcomes(predictor, tasks(), write, at_once):
            future.result()

    def one_thread() -> None:
        with freed_memory_kept(), one_thread_each(predictor, 1):
            for task in tasks():
                image = read_image(task.image)
                write(task, predictor(image.rgb, uncertainty=False, confidence=False), image)

    return {
        "network alone": lambda: apart(lambda call: call(), [alone[n % len(alone)] for n in range(len(paths))]),
        "array to label map": lambda: apart(lambda rgb: predictor(rgb, uncertainty=False, confidence=False), data),
        "files": lambda: files(cores),
        "files, one thread": one_thread,
        "files, one at a time": lambda: files(1),
    }


def measure(found: dict[str, Callable[[], object]], rounds: int, images: int) -> dict[str, list[tuple[float, float]]]:
    """(images a second, CPU ms of an image) of each way and round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, work in found.items():
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            times[name].append((images / wall, 1e3 * cpu / images))
    return times


def main() -> int:
    """Print a table for each model and engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=["rooms-voc", "photos-voc", "camvid"])
    parser.add_argument("--engines", nargs="+", default=["torch", "onnx"])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cores = torch.get_num_threads()
    paths = sorted(given.folder.rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // given.images)][: given.images]
    print(f"{len(paths)} files, {cores} cores, {given.rounds} rounds, torch {torch.__version__}")
    for name, engine in itertools.product(given.models, given.engines):
        model, card = load_model(resolve_model(name))
        options = replace(PredictOptions(device="cpu"), engine=engine)
        predictor = Predictor(model, card, options=options, device="cpu", trials=engine_trials_file())
        with tempfile.TemporaryDirectory() as out:
            found = ways(predictor, paths, Path(out), cores)
            measure({key: found[key] for key in ("files", "files, one at a time")}, 1, len(paths))
            times = measure(found, given.rounds, len(paths))
        print(f"\n{name}, {engine}\n")
        print("| way | images/s | CPU ms | of the network alone | of array to label map | CPU against one thread |")
        print("|---|---|---|---|---|---|")
        for way, pairs in times.items():
            speed, cpu = (statistics.median(pair[place] for pair in pairs) for place in (0, 1))
            cells = [
                [mine[place] / other[place] for mine, other in zip(pairs, times[base], strict=True)]
                for base, place in (("network alone", 0), ("array to label map", 0), ("files, one thread", 1))
            ]
            shares = " | ".join(f"{statistics.median(cell):.3f} ({min(cell):.3f} to {max(cell):.3f})" for cell in cells)
            print(f"| {way} | {speed:.2f} | {cpu:.1f} | {shares} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
