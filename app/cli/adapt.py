"""``atrous adapt``: a model learns from the corrections of a project, as *Learn…* in the window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import overwrite_option, write_json
from app.cli.model_choice import model_option, model_options, resolve_model
from app.cli.models import refuse_overwriting
from app.cli.options import OUTPUT_STRIDES, device_option, json_option, project_option
from app.cli.terminal import LiveBar, is_live, say
from app.cli.train_projects import project_place, say_repairs
from deeplab_core.errors import message
from deeplab_core.flavour import require_torch
from deeplab_core.wording import count, name_some

if TYPE_CHECKING:
    from app.state.corrections import Corrections
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.learning import ClassGain, GainInterval, LearnReport
    from deeplab_core.parallel import ProgressCallback
    from deeplab_core.records import ModelCard

#: Units of the bar.
_PARTS = 1000


@click.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@model_option
@model_options
@click.option(
    "-o", "--output", "target", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write: *.safetensors.",
)  # fmt: skip
@click.option(
    "--layers", type=click.Choice(["decoder", "classifier", "all"]), default="decoder", show_default=True,
    help="What changes: everything behind the encoder, the last layer, or the whole network (slow).",
)  # fmt: skip
@click.option(
    "--strength", type=click.Choice(["gentle", "normal", "strong"]), default="normal", show_default=True,
    help="Weight of the corrections against the model's own predictions elsewhere.",
)  # fmt: skip
@click.option("--known-classes", is_flag=True, help="Do not teach the model classes that it does not have.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of all random choices.")
@click.option(
    "--output-stride", type=click.Choice(OUTPUT_STRIDES), default=None, help="Output stride of the network [default: the card's]."
)
@device_option
@project_option()
@click.option("--force", is_flag=True, help="Overwrite the target.")
@json_option("Write the report as JSON.")
@overwrite_option
def adapt(
    folder: Path,
    model_name: str,
    target: Path,
    *,
    options_of_model: dict[str, Any],
    layers: Any,
    strength: Any,
    known_classes: bool,
    seed: int,
    output_stride: int | None,
    device: str,
    project_dir: Path | None,
    force: bool,
    json_file: Path | None,
) -> int:
    """Let a model learn from the corrections in FOLDER, a folder that was labelled in the window, and write a new model.

    The report compares before and after on images that were left out while learning, as the window does. The project stays as it
    is. Exit status 1 means that these images got worse; the model is written anyway.
    """
    if target.suffix.lower() != ".safetensors":
        raise click.UsageError(f"{target} does not end in .safetensors")
    refuse_overwriting(target, force)
    path = resolve_model(model_name)
    if target.exists() and target.samefile(path):
        raise click.UsageError(f"{target} is the model that learns; choose another name")

    require_torch(message("Learning from corrections"))
    from app.worker.handlers.adapt import learn
    from app.worker.messages import CorrectedImage, LearnTask
    from deeplab_core.learning import LearnOptions
    from deeplab_core.weights import load_model

    _, card = load_model(path, output_stride, options=options_of_model)
    corrections = _corrections(folder, project_dir, card)
    new = () if known_classes else tuple(row.id for row in corrections.classes() if not row.taught)
    task = LearnTask(
        model=str(path), target=str(target), untouched=corrections.untouched, labels=corrections.catalog,
        corrected=tuple(
            CorrectedImage(name=image.name, image=image.path, known=image.known, mask=image.mask) for image in corrections.images
        ),
        pairs=corrections.pairs, options=LearnOptions(layers=layers, strength=strength, new_classes=new, seed=seed),
        device=device, output_stride=output_stride, model_options=options_of_model,
    )  # fmt: skip
    with _shown() as progress:
        saved, adapted = learn(task, None, progress)
    report = adapted.report
    for line in report_lines(report):
        say(line)
    say(f"{target}  {target.stat().st_size / 1e6:.1f} MB. Use it with --model {target}")
    if json_file is not None:
        write_json(json_file, {"format": "atrous-adapt-1", "model": str(target), "id": saved.id, "report": report.to_dict()})
    return 1 if report.verdict == "worse" else 0


def _corrections(folder: Path, project_dir: Path | None, card: ModelCard) -> Corrections:
    """What there is to learn from; says what is left out, and refuses a project without corrections."""
    from app.state.corrections import survey
    from app.state.project import Project

    place, data = project_place(folder)
    with Project.open(place, project_dir or data, read_only=True) as project:
        say_repairs(project)
        corrections = survey(project, card.catalog, card.id, {})
    for name, why in corrections.skipped:
        say(f"atrous: {name} is left out: {why}", err=True)
    if not corrections.images:
        raise click.UsageError(f"no image of {folder} was corrected yet; correct some in the window first")
    used = len(corrections.images)
    if corrections.touched > used + corrections.empty + len(corrections.skipped):
        say(
            f"note: {used:,} of {corrections.touched:,} corrected images are used, sampled evenly; the rest is left out",
            err=True,
        )
    unused = _without_partner(card.catalog, dict(corrections.pairs))
    if unused:
        say(f"note: the project has no class for {name_some(unused, 6)} of the model", err=True)
    return corrections


def _without_partner(catalog: ClassCatalog, pairs: dict[int, int | None]) -> list[str]:
    return [info.name for info in catalog.classes if pairs.get(info.id) is None]


def report_lines(report: LearnReport) -> list[str]:
    """A report of learning in words: what was learned from, a table of classes, and the verdict."""
    lines = [
        f"Learned from {count(report.images, 'image')} ({report.pixels:,} pixels) in {report.seconds:.0f} s: {report.layers}; "
        f"step {report.step} of {report.steps}, {report.blend:.0%} of the change."
    ]
    if report.kept is not None:
        lines.append(f"Of the confident predictions elsewhere {report.kept:.1%} stayed.")
    rows: list[tuple[str, ...]] = [("class", "pixels", "images", "corrected", "left out", "change (95 %)")]
    rows += [_row(row) for row in report.classes]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines += ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if report.held_out is not None:
        lines.append(f"Mean IoU of images left out: {_pair(report.held_out)}, {_change(report.change)}.")
    lost = report.lost_most
    if lost is not None:
        lines.append(f"{lost.name} lost most: {_change(lost.change)}.")
    lines += [f"{row.name} lost too: {_change(row.change)}." for row in report.lost_surely if row is not lost]
    lines += [f"{row.name} may have lost: {_change(row.change)}." for row in report.lost_perhaps if row is not lost]
    lines += [f"Of the confident predictions of {name} elsewhere only {share:.1%} stayed." for name, share in report.faded]
    return [*lines, report.summary]


def _row(row: ClassGain) -> tuple[str, ...]:
    name = f"{row.name} (new)" if row.new else row.name
    return name, f"{row.pixels:,}", str(row.images), _pair(row.corrected), _pair(row.held_out), _change(row.change)


def _pair(values: tuple[float | None, float | None]) -> str:
    before, after = ("-" if value is None else f"{100 * value:.1f}" for value in values)
    return f"{before} to {after}"


def _change(change: GainInterval | None) -> str:
    if change is None:
        return "-"
    if change.low is None or change.high is None:
        return f"{100 * change.gain:+.1f}, no interval"
    return f"{100 * change.gain:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"


@contextmanager
def _shown() -> Iterator[ProgressCallback]:
    """Progress of learning: a bar on a terminal, else a line for each kind of work."""
    if is_live():
        with LiveBar("Learning", _PARTS) as bar:
            yield lambda share, text: bar.show(round(_PARTS * share), _PARTS, label=text)
        return
    last = ""

    def report(_share: float, text: str) -> None:
        nonlocal last
        kind = text.rstrip("0123456789 /of")
        if kind != last:
            last = kind
            say(f"learning: {text}", err=True)

    yield report
