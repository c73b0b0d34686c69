"""``atrous figures``: the figures of the papers, from the networks and images of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import ReportingCommand
from app.cli.ground_truth import found_truth
from app.cli.model_choice import model_options, report_model, resolve_model
from app.cli.options import OUTPUT_STRIDES, TruthOptions, truth_options
from app.cli.predict import parse_scales
from app.cli.terminal import say
from app.paths import SAMPLE_PROJECT

if TYPE_CHECKING:
    from deeplab_core.figures import FigureInputs, FigureSpec, NamedModel, TruthPair

#: Model and images that figures take where nothing is said: those of the sample project.
_MODEL = "rooms-voc"


def _rates(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        rates = tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter("give whole numbers with commas between them, e.g. 1,2,4") from None
    if not 1 <= len(rates) <= 8 or any(not 1 <= rate <= 32 for rate in rates):
        raise click.BadParameter("give one to eight rates from 1 to 32")
    return rates


@click.command(cls=ReportingCommand)
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@click.option("-o", "--output", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Where files go.")
@click.option("--list", "list_only", is_flag=True, help="List the figures, what each needs and its source.")
@click.option("--all", "every", is_flag=True, help="Make every figure.")
@click.option(
    "--model", "model_names", metavar="NAME_OR_FILE", multiple=True,
    help=f"A name from 'atrous models list', or a checkpoint file; may be repeated where figures compare [default: {_MODEL}].",
)  # fmt: skip
@model_options
@click.option(
    "--image", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Image of figures that show one [default: the first of --images].",
)  # fmt: skip
@click.option(
    "--images", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Images of figures over a folder [default: the rooms of the sample project].",
)  # fmt: skip
@truth_options(
    "Ground truth of --images",
    catalog_help="Classes of the ids: voc21, ... or a file [default: recognised from the masks]",
    many=False,
)
@click.option("--limit", type=click.IntRange(1), help="Use the first N images only [default: all].")
@click.option("--rates", default="1,2,4", show_default=True, callback=_rates, help="Rates of the stack of 3x3 convolutions.")
@click.option("--network", metavar="NAME_OR_FILE", help="receptive-field: walk the layers of this model instead of a stack.")
@click.option("--output-stride", type=click.Choice(OUTPUT_STRIDES), help="Stride of --network [default: the card's].")
@click.option(
    "--scales", default="0.75,1,1.25", show_default=True, callback=parse_scales, help="Scales of figures that vary them."
)
@click.option("--band", type=click.IntRange(1, 40), default=4, show_default=True, help="Width of the band near class edges, px.")
@click.option(
    "--steps",
    type=click.IntRange(1, 100_000),
    default=120,
    show_default=True,
    help="decoder-design: training steps of a design.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of trainings.")
def figures(names: tuple[str, ...], *, folder: Path | None, list_only: bool, every: bool, **values: Any) -> int:
    """Draw figures of the DeepLab papers with your models and images: PNG, SVG, and the numbers as CSV and JSON.

    NAME is one of those that --list shows. The same command writes the same files again on the same machine and versions;
    measured times, which differ, are in files of their own.
    """
    from deeplab_core.figures import FIGURES, make_figure

    if list_only:
        for spec in FIGURES.values():
            _say_spec(spec)
        return 0
    chosen = list(FIGURES) if every else list(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in FIGURES]
    if unknown:
        raise click.UsageError(f"no figure '{unknown[0]}'. Choose one of {', '.join(FIGURES)}")
    if not chosen:
        raise click.UsageError("name a figure, or give --all; --list shows them")
    if folder is None:
        raise click.UsageError("name the folder for the files with -o DIR")
    needs = frozenset().union(*(FIGURES[name].needs for name in chosen))
    inputs = _inputs(needs, **values)
    for name in chosen:
        written = make_figure(name, inputs, folder)
        say(f"{name}: {', '.join(path.name for path in written.files)}")
    return 0


def _say_spec(spec: FigureSpec) -> None:
    needs = ", ".join(sorted(spec.needs)) or "nothing"
    say(f"{spec.name}\n  {spec.title}. Needs: {needs}.\n  {spec.source}")


def _inputs(
    needs: frozenset[str],
    *,
    model_names: tuple[str, ...],
    options_of_model: dict[str, Any],
    image: Path | None,
    images: Path | None,
    truth: TruthOptions,
    limit: int | None,
    rates: tuple[int, ...],
    network: str | None,
    output_stride: int | None,
    scales: tuple[float, ...],
    band: int,
    steps: int,
    seed: int,
) -> FigureInputs:
    """Read what the chosen figures need, and nothing else."""
    from deeplab_core.errors import message
    from deeplab_core.flavour import require_torch

    require_torch(message("Drawing figures"))
    from deeplab_core.figures import FigureInputs
    from deeplab_core.images import read_image

    given: dict[str, Any] = {}
    place = images or SAMPLE_PROJECT / "images"
    if "image" in needs:
        shown = image or _first_image(place)
        given.update(image=read_image(shown).rgb, image_name=shown.name)
    if "model" in needs:
        given["models"] = tuple(_model(name, options_of_model) for name in model_names or (_MODEL,))
    if "folder" in needs:
        if images is None and not truth.folders:
            truth = TruthOptions(folders=(SAMPLE_PROJECT / "truth",), catalog_name=truth.catalog_name or "voc21")
        pairs, count, catalog = _pairs(place, truth, limit)
        given.update(pairs=pairs, pair_count=count, catalog=catalog)
    if network is not None:
        given["network"] = _model(network, options_of_model, output_stride)
    shared: dict[str, Any] = {"rates": rates, "scales": scales, "band": band, "steps": steps, "seed": seed}
    return FigureInputs(**shared, **given, progress=lambda text: say(text, err=True))


def _first_image(folder: Path) -> Path:
    from deeplab_core.datasets import find_images
    from deeplab_core.errors import ImageReadError

    names = find_images(folder)
    if not names:
        raise ImageReadError("no images here", remedy="Name a folder of images with --images", path=folder)
    return folder / names[0]


def _model(name: str, options: dict[str, Any], output_stride: int | None = None) -> NamedModel:
    from deeplab_core.errors import WeightsError
    from deeplab_core.figures import NamedModel
    from deeplab_core.networks import GraphNetwork
    from deeplab_core.weights import load_model

    path = resolve_model(name)
    model, card = load_model(path, output_stride, options=options)
    report_model(card)
    if isinstance(model, GraphNetwork):
        raise WeightsError(
            "figures look into a network, and this one runs as a finished graph",
            remedy="Name safetensors or PyTorch weights with --model",
            path=path,
        )
    return NamedModel(card.name, model, card)


def _pairs(folder: Path, truth: TruthOptions, limit: int | None) -> tuple[Callable[[], Iterator[TruthPair]], int, Any]:
    """Reader of the images of a folder that have ground truth, their number, and the classes."""
    from deeplab_core.datasets import find_images
    from deeplab_core.figures import TruthPair
    from deeplab_core.images import probe_image, read_image
    from deeplab_core.masks import read_mask

    names = find_images(folder)
    ground, matched = found_truth(truth, folder, names)
    ground.report()
    files = [(name, matched.files[name]) for name in names if name in matched.files][:limit]

    def read() -> Iterator[TruthPair]:
        for name, mask in files:
            path = folder / name
            labels = read_mask(mask, ground.catalog, probe_image(path), frame=truth.frame)
            yield TruthPair(name, read_image(path).rgb, labels)

    return read, len(files), ground.catalog
