"""``atrous train``: train a network by a recipe, go on after a kill, on one processor or many."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.ground_truth import TrainingTruth, recognised_classes
from app.cli.model_choice import model_options
from app.cli.options import Decimal, TruthOptions, json_lines_option, truth_options
from app.cli.train_console import SilentTraining, TrainingConsole
from app.cli.train_projects import opened_projects, project_samples
from app.cli.train_shards import INDEXES, PATIENCE, with_shards
from app.text import read_numbers
from deeplab_core.errors import AtrousError, message
from deeplab_core.flavour import require_torch
from deeplab_core.parallel import IsCancelled
from deeplab_core.reading import parse_toml

if TYPE_CHECKING:
    from app.state.project import Project
    from deeplab_core.training import DataSource, Recipe, Sample, SegmentationDataset, ShardDataset, ShardSource, TrainingGroup
    from deeplab_core.training.dataset import TrainingData
    from deeplab_core.training.tables import DataTables

#: Flags that set a value of the recipe, by its name there.
_NUMBERS: dict[str, type] = {
    "epochs": float,
    "steps": int,
    "batch": int,
    "accumulate": int,
    "rate": float,
    "backbone_rate": float,
    "init_rate": float,
    "weight_decay": float,
    "warmup": int,
    "ema": float,
    "seed": int,
    "output_stride": int,
    "validate_every": int,
    "clip": float,
}
_TEXTS = ("network", "backbone", "init", "name", "summary", "licence", "resize")
_CHOICES = {
    "loss": ("cross_entropy", "ohem", "top_k", "focal"),
    "class_weighting": ("none", "median_frequency", "log_1.02", "log_1.10"),
    "precision": ("fp32", "bf16", "fp16"),
    "norm": ("train", "frozen"),
    "optimizer": ("sgd", "adamw"),
}


def _recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, number in reversed(_NUMBERS.items()):
        kind = Decimal() if number is float else number
        command = click.option(f"--{name.replace('_', '-')}", name, type=kind, default=None)(command)
    for name in reversed(_TEXTS):
        command = click.option(f"--{name.replace('_', '-')}", name, default=None)(command)
    for name, choices in reversed(_CHOICES.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, type=click.Choice(choices), default=None)(command)
    return command


@click.command()
@click.option("--recipe", "recipe_file", metavar="FILE.toml", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Recipe and data in one TOML file; flags override it.")  # fmt: skip
@click.option("-o", "--output", "out", metavar="DIR", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder of the run: state, log, finished model.")  # fmt: skip
@click.option("--images", multiple=True, metavar="DIR", type=click.Path(path_type=Path), help="Training images; may be repeated.")
@truth_options(
    "Their masks [default: found beside the images]",
    catalog_help="voc21, cityscapes19, camvid11, ade20k150 or a catalog file [default: the first project's, else recognised from "
    "the masks]",
    many=False,
    existing=False,
)
@click.option("--val-images", multiple=True, metavar="DIR", type=click.Path(path_type=Path), help="Validation images.")
@click.option("--val-truth", metavar="DIR", type=click.Path(path_type=Path), help="Masks of --val-images.")
@click.option("--shards", multiple=True, metavar="SPEC",
              help="Train on shards instead: tar or Parquet files or manifests with image and truth, e.g. 'part-{000..127}.tar'; "
              "needs the extra 'shards' and --catalog. May be repeated.")  # fmt: skip
@click.option("--val-shards", multiple=True, metavar="SPEC", help="Validate on shards.")
@click.option("--image-field", metavar="NAME", help="Shards: ending or column of the image.")
@click.option("--truth-field", metavar="NAME", help="Shards: ending or column of the truth.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out training images with such names, e.g. 'Seq05VD_*', from all sources.",
)
@click.option("--project", "projects", multiple=True, metavar="FOLDER",
              type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder labelled in the window, or the DIR of its data (its --project DIR); may be repeated.")  # fmt: skip
@click.option("--unmatched-to-void", is_flag=True, help="Projects: classes without a match in the catalog become void.")
@click.option("--crop", default=None, metavar="HxW", help="Size of a training crop in px.")
@click.option("--scales", default=None, metavar="LEAST,MOST", help="Random scale of an image.")
@click.option("--freeze", multiple=True, metavar="PATTERN", help="Layers that are not trained, e.g. 'encoder.blocks.?'.")
@click.option(
    "--fixed-scales", default=None, metavar="SCALE,...", help="Use a fixed set of views at these scales instead of random ones."
)
@click.option(
    "--cache-features/--no-cache-features", default=None, help="Cache the output of frozen layers for fixed views on disk."
)
@click.option("--feature-cache", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
              help="Folder of this cache [default: 'features' in the output folder].")  # fmt: skip
@click.option("--feature-gb", type=Decimal(), default=8.0, show_default=True, help="Largest size of this cache.")
@model_options
@_recipe_options
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other value of the recipe, as in TOML.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--threads", type=int, default=None, help="Processor threads of the network [default: all].")
@click.option("--cache-gb", type=Decimal(), default=4.0, show_default=True, help="Memory for decoded images.")
@click.option("--state-minutes", type=Decimal(), default=10.0, show_default=True, help="Minutes between saved states.")
@click.option("--resume", is_flag=True, help="Continue exactly from the state in the output folder.")
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard events, if it is installed.")
@json_lines_option("One JSON line per epoch and one summary, on stdout.")
def train(
    *,
    recipe_file: Path | None,
    out: Path,
    images: tuple[Path, ...],
    truth: TruthOptions,
    val_images: tuple[Path, ...],
    val_truth: Path | None,
    shards: tuple[str, ...],
    val_shards: tuple[str, ...],
    image_field: str | None,
    truth_field: str | None,
    exclude: tuple[str, ...],
    projects: tuple[Path, ...],
    unmatched_to_void: bool,
    crop: str | None,
    scales: str | None,
    freeze: tuple[str, ...],
    fixed_scales: str | None,
    cache_features: bool | None,
    feature_cache: Path | None,
    feature_gb: float,
    options_of_model: dict[str, Any],
    settings: tuple[str, ...],
    device: str,
    threads: int | None,
    cache_gb: float,
    state_minutes: float,
    resume: bool,
    tensorboard: bool,
    as_json: bool,
    **flags: object,
) -> int:
    """Train a network on images and masks, or on projects that were corrected in the window.

    Data sets in the layouts of VOC, Cityscapes and CamVid, folders of images and masks, and Atrous projects are read alike. Under
    torchrun every process takes its share of each batch. Ctrl+C saves the state; --resume continues from it and needs only -o.
    """
    require_torch(message("Training"))
    import torch

    from deeplab_core.atomic import make_folder
    from deeplab_core.inference import pick_device
    from deeplab_core.training import RunFiles, Trainer, process_group

    _check_truth(truth, images, val_truth, val_images)
    if _goes_on(out, resume) and recipe_file is None and not (images or projects or shards) and (out / "recipe.toml").is_file():
        recipe_file = out / "recipe.toml"
    flags |= {"freeze": list(freeze) or None, "cache_features": cache_features, "init_options": options_of_model or None}
    recipe, data = _read_recipe(recipe_file, _flag_values(flags, settings, crop=crop, scales=scales, fixed_scales=fixed_scales))
    data = _with_folders(data, truth, images, projects, val_images, val_truth)
    data = _with_exclusions(data, exclude, unmatched_to_void)
    data = with_shards(data, shards, val_shards, image_field, truth_field, truth, folders=bool(images or projects))
    if not data.train and not data.projects and data.train_shards is None:
        where = f"; {recipe_file} names no data" if recipe_file else ""
        raise click.UsageError(f"nothing to train on; give --images, --shards, --project or a recipe with [[data.train]]{where}")
    chosen, why = pick_device(device)
    if threads:
        torch.set_num_threads(threads)
    make_folder(out)
    patience = PATIENCE if data.train_shards or data.val_shards else None
    with (
        process_group(torch.device(str(chosen)), patience=patience) as group,
        _only_writer(out, group.leads),
        _stop_on_signals() as stop,
        opened_projects(data.projects) as opened,
    ):
        callback = TrainingConsole(as_json) if group.leads else SilentTraining()
        if why:
            callback.note(f"note: {why}")
        reader = _Reader(data, opened, callback)
        recipe.check_run(reader.classes)
        training, validation = reader.sets(int(cache_gb * (1 << 30)), recipe, out / INDEXES, group)
        trainer = Trainer(
            recipe,
            training,
            validation,
            RunFiles(
                out, _data_note(reader.data), reader.data, feature_folder=feature_cache, feature_bytes=int(feature_gb * 1e9),
                minutes_between_states=state_minutes, tensorboard=tensorboard,
            ),
            group,
            callback,
            stop=stop,
        )  # fmt: skip
        if resume:
            trainer.resume()
            callback.note(f"continuing after step {trainer.state.step} of {trainer.steps}")
        outcome = trainer.run()
        callback.close()
        callback.summary(out, outcome.model_path, outcome.history, len(training.bad.named), reader.truths.rows)
    return 130 if outcome.model_path is None else 0


def _check_truth(truth: TruthOptions, images: tuple[Path, ...], val_truth: Path | None, val_images: tuple[Path, ...]) -> None:
    """Refuse a folder of masks without named images."""
    for name, given, needed in (("--truth", truth.folders, images), ("--val-truth", val_truth, val_images)):
        if given and not needed:
            of = name.replace("truth", "images")
            raise click.UsageError(f"{name} goes with {of}; give it too, or set 'truth' in the recipe's table of these images")


def _goes_on(out: Path, resume: bool) -> bool:
    """Whether a run in ``out`` is continued; refuse to continue what is not there and to overwrite what is."""
    state = out / "state.safetensors"
    if resume and not state.is_file():
        raise click.UsageError(f"{out} holds no run to go on with; leave --resume out to begin one")
    if not resume and state.exists():
        raise click.UsageError(f"{out} holds a run; add --resume to go on with it, or choose another folder")
    return resume


def _read_recipe(file: Path | None, values: dict[str, Any]) -> tuple[Recipe, DataTables]:
    """The recipe of ``file`` with the values of the flags, and the data that the file names."""
    from deeplab_core.training import Recipe
    from deeplab_core.training.tables import DataTables

    recipe, tables = Recipe.read(file) if file else (Recipe(), {})
    if recipe.steps and "epochs" in values and "steps" not in values:
        raise click.UsageError(f"the recipe sets steps = {recipe.steps}, which counts rather than epochs; give --steps instead")
    recipe = recipe.changed(_located(recipe.to_dict(), values, file) | values | _located(values, {}, None))
    return recipe, DataTables.read(tables, file) if file else DataTables()


def _with_folders(
    data: DataTables,
    truth: TruthOptions,
    images: tuple[Path, ...],
    projects: tuple[Path, ...],
    val_images: tuple[Path, ...],
    val_truth: Path | None,
) -> DataTables:
    """The data of the recipe, replaced by the folders and the catalog that flags name."""
    from deeplab_core.training import DataSource

    if images or projects:
        named = next(iter(truth.folders), None)
        data = replace(data, train=tuple(DataSource(images=folder, truth=named) for folder in images), projects=projects)
    if val_images:
        data = replace(data, val=tuple(DataSource(images=folder, truth=val_truth) for folder in val_images))
    data = replace(data, train=_as_asked(data.train, truth), val=_as_asked(data.val, truth))
    return replace(data, catalog=truth.catalog() or data.catalog)


def _with_exclusions(data: DataTables, exclude: tuple[str, ...], unmatched_to_void: bool) -> DataTables:
    """The data without the images that ``--exclude`` names, wherever they come from."""
    return replace(
        data,
        train=tuple(replace(source, exclude=(*source.exclude, *exclude)) for source in data.train),
        exclude=(*data.exclude, *exclude) if data.projects else (),
        unmatched_to_void=unmatched_to_void or data.unmatched_to_void,
    )


class _Reader:
    """Data sets of the folders and projects that a run trains on.

    Args:
        data: what to read. Without a catalog it takes that of the first project, because corrections keep the classes of their
            project unless the user asks for others; without a project it takes the classes recognised from the masks.
        opened: the projects of ``data``, in the same order.
    """

    def __init__(self, data: DataTables, opened: list[Project], callback: SilentTraining) -> None:
        self._opened = opened
        self._callback = callback
        self.classes = data.catalog or (
            opened[0].catalog if opened else recognised_classes((*data.train, *data.val), callback.note)
        )
        self.data = replace(data, catalog=self.classes)
        self.truths = TrainingTruth(callback.note)

    def sets(
        self, cache_bytes: int, recipe: Recipe, indexes: Path, group: TrainingGroup
    ) -> tuple[TrainingData, TrainingData | None]:
        """Training and validation data; with both, each has half of ``cache_bytes``. Indexes of shards are kept in a folder."""
        training: TrainingData
        if self.data.train_shards is None:
            training = self._files(cache_bytes)
        else:
            training = shards = self._shards(self.data.train_shards, indexes, "training", group)
            shards.check(recipe)
        if self.data.val_shards is not None:
            return training, self._shards(self.data.val_shards, indexes, "validation", group)
        if not self.data.val:
            return training, None
        return training, self._set(self._samples(self.data.val), "validation", cache_bytes // 2, lambda _done, _all: None)

    def _shards(self, source: ShardSource, indexes: Path, name: str, group: TrainingGroup) -> ShardDataset:
        from deeplab_core.training import ShardDataset

        callback = self._callback
        data = ShardDataset(source, self.classes, indexes / name, group, say=callback.note, progress=callback.reading)
        callback.remarks(data, name)
        return data

    def _files(self, cache_bytes: int) -> SegmentationDataset:
        samples = self._samples(self.data.train)
        for project in self._opened:
            samples += project_samples(project, self.classes, self.data.exclude, unmatched_to_void=self.data.unmatched_to_void)
        if not samples:  # a folder of images without masks has spoken for itself by now
            names = ", ".join(str(folder) for folder in self.data.projects)
            raise click.UsageError(f"no image of {names} was corrected yet; correct some in the window first")
        return self._set(samples, "training", cache_bytes // (2 if self.data.val else 1), self._callback.reading)

    def _samples(self, sources: tuple[DataSource, ...]) -> list[Sample]:
        say = self._callback.note
        return [sample for source in sources for sample in source.samples(self.classes, say, self.truths.of(source))]

    def _set(self, samples: list[Sample], name: str, cache: int, progress: Callable[[int, int], None]) -> SegmentationDataset:
        from deeplab_core.training import SegmentationDataset

        say = self._callback.note
        data = SegmentationDataset(samples, self.classes, cache_bytes=cache, say=say, progress=progress)
        self._callback.remarks(data, name)
        return data


def _as_asked(sources: tuple[DataSource, ...], truth: TruthOptions) -> tuple[DataSource, ...]:
    """Sources with what the flags say about their ground truth; without a flag the recipe's own values stay."""
    return tuple(
        replace(
            source,
            frame=source.frame if truth.frame == "auto" else truth.frame,
            allow_predicted=source.allow_predicted or truth.allow_predicted,
        )
        for source in sources
    )


def _flag_values(flags: dict[str, Any], settings: tuple[str, ...], **lists: str | None) -> dict[str, Any]:
    """Values of the recipe that flags and ``--set`` name; ``lists`` are numbers with an x or a comma between them."""
    values = {name: value for name, value in flags.items() if value is not None}
    for name, text in lists.items():
        if text is not None:
            try:
                values[name] = [int(part) for part in text.lower().split("x")] if name == "crop" else read_numbers(text)
            except ValueError:
                like = {"crop": "240x320", "scales": "0.5,2", "fixed_scales": "0.8,1"}[name]
                raise click.UsageError(f"--{name.replace('_', '-')} is like {like}, not '{text}'") from None
    for setting in settings:
        try:
            values.update(parse_toml(setting, what="the setting"))
        except AtrousError as error:
            raise click.UsageError(f"--set {setting}: {error.why}; write texts in quotes, e.g. --set 'name=\"mine\"'") from None
    return values


def _located(values: dict[str, Any], without: dict[str, Any], file: Path | None) -> dict[str, Any]:
    """The checkpoints that a recipe begins with, as absolute paths.

    Args:
        values: of a recipe; ``init`` and ``average_with`` are looked at, other types than theirs are left to the recipe's check.
        without: values that win over these.
        file: the recipe file; relative paths start at its folder; None takes the working directory.
    """
    found: dict[str, Any] = {}
    for key in (name for name in ("init", "average_with") if values.get(name) and name not in without):
        value = values[key]
        if isinstance(value, str):
            found[key] = _weights(value, file)
        elif isinstance(value, list) and all(isinstance(part, str) for part in value):
            found[key] = [_weights(part, file) for part in value]
    return found


def _weights(name: str, file: Path | None) -> str:
    """A checkpoint beside the recipe, in the working directory, or of a known model as ``predict --model`` takes it."""
    from app.cli.model_choice import resolve_model

    local = (file.parent if file else Path()) / Path(name).expanduser()
    return str((local if local.is_file() else resolve_model(name)).absolute())


def _data_note(data: DataTables) -> dict[str, Any]:
    """The data as the card records it: names of folders only, never whole paths of the user's machine."""

    def rows(found: tuple[DataSource, ...]) -> list[dict[str, Any]]:
        return [
            {"images": f"{source.images.parent.name}/{source.images.name}", "include": source.include, "exclude": source.exclude}
            for source in found
        ]

    shards = {"train": data.train_shards, "val": data.val_shards}
    named = {key: [spec.rpartition("/")[2] for spec in source.specs] for key, source in shards.items() if source is not None}
    return {
        "train": rows(data.train), "val": rows(data.val), "projects": [project.name for project in data.projects],
        **({"shards": named} if named else {}),
    }  # fmt: skip


@contextmanager
def _only_writer(out: Path, leads: bool) -> Iterator[None]:
    """Hold the folder of the run, so that no second training writes into it.

    Raises:
        AtrousError: another one does; it is named.
        StorageError: nothing can be written there.
    """
    from app.state.lock import ProjectLock
    from deeplab_core.errors import AtrousError, ProjectLocked

    lock = ProjectLock(out / "run.lock")
    if leads:
        try:
            lock.acquire()
        except ProjectLocked:
            raise AtrousError(
                "another training writes into this folder",
                why=lock.holder().text(),
                remedy="Wait for it or stop it, or choose another folder",
                path=out,
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _stop_on_signals() -> Iterator[IsCancelled]:
    """Ctrl+C and SIGTERM end the run after the current step; a second Ctrl+C ends it at once."""
    asked: list[int] = []

    def note(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
