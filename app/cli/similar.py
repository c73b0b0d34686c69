"""``atrous similar``: images of a folder in the order of how alike a model finds them to one image or a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import ReportingCommand, overwrite_option, progress, say_failures, write_json
from app.cli.model_choice import model_option, model_options, report_model, resolve_model
from app.cli.options import device_option, json_option
from app.cli.terminal import say
from deeplab_core.printable import one_line

if TYPE_CHECKING:
    from app.cli.kept_features import KeptFeatures
    from deeplab_core.analysis.similarity import Vectors
    from deeplab_core.errors import AtrousError
    from deeplab_core.geometry import Box
    from deeplab_core.inference import Predictor


def _region(_context: click.Context, _param: click.Parameter, text: str | None) -> Box | None:
    from deeplab_core.geometry import Box

    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter("give four whole numbers: X,Y,WIDTH,HEIGHT") from None
    if min(x, y) < 0 or min(width, height) < 1:
        raise click.BadParameter("the corner must not be negative, and width and height must be at least 1")
    return Box(x, y, width, height)


@click.command(cls=ReportingCommand)
@click.argument("images", metavar="IMAGES", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--to", "query", metavar="FILE", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The image that the others are compared with; it need not be in IMAGES.",
)  # fmt: skip
@click.option("--region", metavar="X,Y,W,H", callback=_region, help="A part of it, in pixels of the displayed image.")
@model_option
@model_options
@click.option("--top", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many images to list.")
@device_option
@json_option("Write all images with their similarity.")
@overwrite_option
def similar(
    images: Path,
    query: Path,
    *,
    region: Box | None,
    model_name: str,
    options_of_model: dict[str, Any],
    top: int,
    device: str,
    json_file: Path | None,
) -> int:
    """List the images that a model finds most like one, or a part of one.

    Compared is the cosine of the encoder's features, averaged over the image (or, for a region, over the most similar of nine
    parts of each image). No ground truth is needed. Features are kept in the cache folder of this computer, by the content of the
    weights and of the image, so the next question about the same images takes the time of reading the files. Exit status 1 means
    that some images could not be read.
    """
    from app.cli.kept_features import KeptFeatures
    from deeplab_core.analysis.similarity import most_similar
    from deeplab_core.datasets.find import scan_folder
    from deeplab_core.errors import AtrousError
    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    scan = scan_folder(images)
    for sentence in scan.left_out():
        say(f"note: {sentence}", err=True)
    names = [name for name in scan.images if (images / name).resolve() != query.resolve()]
    if not names:
        raise click.UsageError(f"no other image found in {images}; give a folder that holds some")
    model, card = load_model(resolve_model(model_name), options=options_of_model)
    report_model(card)
    predictor = Predictor(model, card, device=device)
    cache = KeptFeatures(card)
    target = _vectors(predictor, query, region) if region is not None else _kept(cache, predictor, query)
    found: dict[int, Vectors] = {}
    failures: list[tuple[str, AtrousError]] = []
    with progress("look", len(names)) as bar:
        for place, name in enumerate(names):
            try:
                found[place] = _kept(cache, predictor, images / name)
            except AtrousError as error:
                failures.append((name, error))
            bar.advance(name)
    cache.trim()
    rows = [(names[place], value) for place, value in most_similar(target, found, of_region=region is not None)]
    for name, value in rows[:top]:
        say(f"{value:6.3f}  {one_line(name)}")
    if json_file is not None:
        write_json(
            json_file,
            {
                "format": "atrous-similar-1",
                "model": {"id": card.id, "name": card.name},
                "image": str(query),
                "region": None if region is None else list(region),
                "images": [{"image": name, "similarity": value} for name, value in rows],
            },
        )
    say_failures("not read", failures)
    return 1 if failures else 0


def _kept(cache: KeptFeatures, predictor: Predictor, path: Path) -> Vectors:
    """Features of a whole image, from the cache where they are."""
    place = cache.path_of(path)
    found = None if place is None else cache.get(place)
    if found is None:
        found = _vectors(predictor, path, None)
        if place is not None:
            cache.put(place, found)
    return found


def _vectors(predictor: Predictor, path: Path, region: Box | None) -> Vectors:
    from deeplab_core.images import read_image
    from deeplab_core.inference.embedding import embed

    channels = predictor.model.in_channels
    data = read_image(path, fourth=channels == 4)
    if region is not None and (region.x >= data.rgb.shape[1] or region.y >= data.rgb.shape[0]):
        height, width = data.rgb.shape[:2]
        raise click.UsageError(f"--region lies outside of the image, which is {width} x {height} px")
    return embed(predictor, data.pixels(channels), region=region)
