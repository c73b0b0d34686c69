"""``atrous inspect``: from the figures of a folder to the pixels behind them, and what to look at first without truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import ReportingCommand, overwrite_option, progress, write_json
from app.cli.ground_truth import masks_classes, masks_truth
from app.cli.losses import class_lines, pair_lines
from app.cli.options import TruthOptions, attributes_option, json_option, read_own, truth_options
from app.cli.rankings import gain_lines, place_text, ranking_lines, with_old_key
from app.cli.terminal import say
from deeplab_core.printable import one_line
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.analysis import ErrorComponent, FolderAnalysis, PairLoss
    from deeplab_core.analysis.inspection import FolderInspection, FolderSources
    from deeplab_core.analysis.own_slices import OwnSlices
    from deeplab_core.analysis.slice_scores import SliceScore
    from deeplab_core.analysis.slices import Slice
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.errors import AtrousError
    from deeplab_core.masks.frames import Frame

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_KINDS = (
    "boundary", "extent", "segment", "class_swap", "missed_object", "invented_object",
    "occluder_cut", "low_visible", "small_object", "border_truncated",
)  # fmt: skip


@click.command("inspect", cls=ReportingCommand)
@click.option("--prediction", metavar="DIR", required=True, type=_FOLDER, help="Masks to inspect.")
@truth_options(
    "Ground truth: masks of the same names",
    catalog_help="Classes of the ids: voc21, ... or a file [default: recognised from the masks]",
)
@click.option("--images", metavar="DIR", type=_FOLDER, help="Photographs: adds brightness and contrast; --cutouts needs them.")
@click.option("--objects", metavar="DIR", type=_FOLDER, help="Lists of objects of rendered rooms: adds visible fractions.")
@click.option("--ambiguous", metavar="DIR", type=_FOLDER, help="Folder of NAME.ambiguous.json: regions that are not scored.")
@attributes_option
@click.option("--second", metavar="DIR", type=_FOLDER, help="Masks of another model or of the CRF: ranks images by disagreement.")
@click.option("--cell", metavar="TRUTH:PREDICTION", help="Show what this cell costs, and list its components, e.g. chair:sofa.")
@click.option(
    "--class",
    "class_names",
    metavar="NAME",
    multiple=True,
    help="Show the kinds of failure of this class, and list its components. May be repeated.",
)
@click.option(
    "--pair",
    "pair_names",
    metavar="ONE:OTHER",
    multiple=True,
    help="Show what a pair of classes costs in both directions, and list its components, e.g. chair:sofa. May be repeated.",
)
@click.option("--kind", type=click.Choice(_KINDS), help="List the components of this kind of failure.")
@click.option(
    "--slice",
    "slice_name",
    metavar="AXIS:SLICE",
    help="List the components of a slice: of objects (size:1024, visible_fraction:0.25), pixels (pixel_distance:3) or your own "
    "(COLUMN:VALUE of --attributes).",
)
@click.option(
    "--order",
    type=click.Choice(["size", "gain_folder", "gain_image"]),
    default="size",
    show_default=True,
    help="List components by size, or by what fixing one adds to the mean IoU of the folder or of its image.",
)
@click.option(
    "--top", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many components and images to list."
)
@click.option(
    "--cutouts", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Write pictures of the listed components."
)
@json_option()
@overwrite_option
def inspect(
    prediction: Path,
    *,
    truth: TruthOptions,
    images: Path | None,
    objects: Path | None,
    ambiguous: Path | None,
    attributes: tuple[Path, ...],
    second: Path | None,
    cell: str | None,
    class_names: tuple[str, ...],
    pair_names: tuple[str, ...],
    kind: str | None,
    slice_name: str | None,
    order: str,
    top: int,
    cutouts: Path | None,
    json_file: Path | None,
) -> int:
    """Find where a folder of masks is wrong, and why.

    With --truth: confused classes, kinds of failure and the IoU that fixing each would gain, scores by size and occlusion, and
    the largest error components. Without: the images ranked for review, by the confidences beside the masks (predict
    --save-confidence) and by disagreement with --second.

    Exit status 1 means that some files could not be inspected; the figures are those of the rest.
    """
    from deeplab_core.analysis.inspection import FolderSources

    truths = truth.folders
    _check_options(
        truth=bool(truths),
        images=images is not None,
        slices=bool(slice_name),
        cells=bool(cell or kind or class_names or pair_names),
        cutouts=cutouts is not None,
        others=bool(objects or ambiguous or attributes),
    )
    ground = masks_truth(truth, prediction, images) if truths else None
    catalog = masks_classes(truth, prediction) if ground is None else ground.catalog
    if ground is not None:
        ground.report()
    wanted = _Wanted(
        None if cell is None else _cell_ids(cell, catalog),
        tuple(_cell_ids(pair, catalog) for pair in pair_names),
        tuple(_class_id(name, catalog) for name in class_names),
        order,
    )
    own = read_own(attributes)
    within = None if slice_name is None else _slice(slice_name, own)
    sources = FolderSources(
        images=images, objects=objects, ambiguous=ambiguous, second=second, own=own, frame=truth.frame
    )  # fmt: skip
    found = _inspect(prediction, truths, catalog, sources)
    folder, listed = found.analysis, _components(found.analysis, wanted, kind, within, top) if truths else []
    losses = wanted.losses(folder) if truths else []
    if truths:
        say(_figures(folder, own))
        for class_id in wanted.classes:
            say(class_lines(folder, class_id))
        for loss in losses:
            say(pair_lines(loss, catalog))
        say(_component_lines(folder, listed, catalog, order))
    if found.rankings:
        say("\n".join([*ranking_lines(folder, top), *gain_lines(folder)]))
    if json_file is not None:
        about = {} if ground is None else {"ground_truth": ground.to_dict()}
        write_json(json_file, {**with_old_key(_figures_for_json(found, losses, max(top, 50))), **about})
    if cutouts is not None and images is not None:
        _write_cutouts(found, listed, images, cutouts, truth.frame)
    for line in found.truth_notes.spoken() + found.prediction_notes.spoken():
        say(f"atrous: {line}", err=True)
    for note in [] if own is None else own.notes(list(found.pairs)):
        say(f"atrous: {note}", err=True)
    return _complain(found.failures)


def _check_options(*, truth: bool, images: bool, slices: bool, cells: bool, cutouts: bool, others: bool) -> None:
    """Refuse options that need another one. Each argument says whether such an option was given."""
    if not truth and (cells or slices or cutouts or others):
        raise click.UsageError(
            "--cell, --class, --pair, --kind, --slice, --cutouts, --objects, --ambiguous and --attributes need --truth"
        )
    if slices and cells:
        raise click.UsageError("--slice lists by itself; leave --cell, --class, --pair and --kind out")
    if cutouts and not images:
        raise click.UsageError("--cutouts needs the photographs; name their folder with --images")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Cells, pairs and classes that the user named, as ids, and the order of their components."""

    cell: tuple[int, int] | None
    pairs: tuple[tuple[int, int], ...]
    classes: tuple[int, ...]
    order: str = "size"

    def losses(self, folder: FolderAnalysis) -> list[PairLoss]:
        """What the named cell and the named pairs cost."""
        from deeplab_core.analysis import pair_loss

        found = [] if self.cell is None else [pair_loss(folder, *self.cell, both_ways=False)]
        return found + [pair_loss(folder, one, other) for one, other in self.pairs]

    def cells(self) -> list[tuple[int | None, int | None, bool]]:
        """Truth, prediction and both ways of the components to list; without any names those of everything."""
        found: list[tuple[int | None, int | None, bool]] = [] if self.cell is None else [(*self.cell, False)]
        found += [(one, other, True) for one, other in self.pairs]
        if not found:
            found = [way for class_id in self.classes for way in ((class_id, None, False), (None, class_id, False))]
        return found or [(None, None, False)]


def _class_id(name: str, catalog: ClassCatalog) -> int:
    info = catalog.by_name(name)
    if info is None:
        raise click.UsageError(f"'{catalog.name}' has no class '{name}'; it has {', '.join(catalog.names[:40])}")
    return info.id


def _cell_ids(cell: str, catalog: ClassCatalog) -> tuple[int, int]:
    names = cell.split(":")
    if len(names) != 2:
        raise click.UsageError(f"'{cell}' is not TRUTH:PREDICTION, such as chair:sofa")
    ids = [
        catalog.ignore if name.strip().lower() == "void" and catalog.by_name(name) is None else _class_id(name, catalog)
        for name in names
    ]
    if ids[0] == catalog.ignore:
        raise click.UsageError("void ground truth is not scored; name the class of the ground truth first")
    if ids[0] == ids[1]:
        raise click.UsageError(f"'{cell}' names one class twice; a pair is two classes")
    return ids[0], ids[1]


def _figures_for_json(found: FolderInspection, losses: list[PairLoss], components: int) -> dict[str, Any]:
    """Everything; named pairs stand before the most confused ones."""
    from deeplab_core.analysis.summary import inspection_to_dict, worst_pairs

    if not found.compared:
        return inspection_to_dict(found)
    named = {tuple(sorted((loss.cells[0].truth, loss.cells[0].prediction))) for loss in losses if len(loss.cells) > 1}
    others = [
        loss
        for loss in worst_pairs(found.analysis)
        if tuple(sorted((loss.cells[0].truth, loss.cells[0].prediction))) not in named
    ]
    return inspection_to_dict(found, components=components, losses=losses + others)


def _inspect(prediction: Path, truths: tuple[Path, ...], catalog: ClassCatalog, sources: FolderSources) -> FolderInspection:
    from deeplab_core.analysis.inspection import inspect_folders
    from deeplab_core.datasets.pairing import pair_masks

    pairing = pair_masks(prediction, truths, catalog.name)
    with progress("inspect", len(pairing.pairs) + (0 if truths else len(pairing.extra))) as bar:
        return inspect_folders(
            prediction, truths, catalog, sources=sources, progress=lambda _done, _total, name: bar.advance(name)
        )


@dataclass(frozen=True, slots=True)
class _OwnSlice:
    """A slice of the user's tables."""

    own: OwnSlices
    axis: str
    label: str


def _slice(text: str, own: OwnSlices | None) -> Slice | _OwnSlice:
    """The slice that begins at the edge that is given, or has the label, where the axis is a column of the user's."""
    from deeplab_core.analysis.slices import OBJECT_EDGES, PIXEL_EDGES, ObjectAxis, PixelAxis, Slice

    axes: dict[str, tuple[ObjectAxis | PixelAxis, tuple[float, ...]]] = {
        **{axis.value: (axis, edges) for axis, edges in OBJECT_EDGES.items()},
        **{f"pixel_{axis.value}": (axis, edges) for axis, edges in PIXEL_EDGES.items()},
    }
    name, _, low = text.partition(":")
    mine = {} if own is None else {axis.name: axis.labels for axis in (*own.image_axes, *own.object_axes)}
    if own is not None and name in mine:
        if low.strip() not in mine[name]:
            raise click.UsageError(f"'{name}' has no slice '{low}'; it has: {', '.join(mine[name])}")
        return _OwnSlice(own, name, low.strip())
    if name not in axes:
        raise click.UsageError(f"'{name}' is not an axis; these are: {', '.join([*axes, *mine])}")
    axis, edges = axes[name]
    found = [place for place, edge in enumerate(edges) if f"{edge:g}" == low.strip()]
    if not found:
        raise click.UsageError(f"no slice of '{name}' begins at '{low}'; these do: {', '.join(f'{edge:g}' for edge in edges)}")
    return Slice(axis, found[0])


def _components(
    folder: FolderAnalysis, wanted: _Wanted, kind: str | None, within: Slice | _OwnSlice | None, top: int
) -> list[ErrorComponent]:
    from deeplab_core.analysis import FailureKind

    if isinstance(within, _OwnSlice):
        return within.own.components(folder, within.axis, within.label, top, wanted.order)
    if within is not None:
        return folder.components_within(within, limit=top, order=wanted.order)
    chosen = None if kind is None else FailureKind(kind)
    found = {
        (one.image, one.truth, one.prediction, one.anchor): one
        for truth, prediction, both in wanted.cells()
        for one in folder.errors.components(
            truth=truth, prediction=prediction, both_ways=both, kind=chosen, limit=top, worth=folder.worth(wanted.order)
        )
    }
    if len(wanted.cells()) == 1:
        return list(found.values())
    every = list(found.values())
    worths = dict(zip(every, _worths(folder, every, wanted.order), strict=True))
    return sorted(every, key=lambda one: (-worths[one], one.image, one.box.y, one.box.x))[:top]


def _worths(folder: FolderAnalysis, components: list[ErrorComponent], order: str) -> list[float]:
    return [float(one.pixels) for one in components] if order == "size" else folder.gains(components, order)


def _figures(folder: FolderAnalysis, own: OwnSlices | None) -> str:
    """Confused pairs, kinds of failure and slices of objects as text."""
    from deeplab_core.analysis import KIND_TEXT, ObjectAxis, confused_pairs, slice_objects
    from deeplab_core.analysis.kinds import KIND_NEEDS
    from deeplab_core.analysis.record import ERROR_PIXELS
    from deeplab_core.analysis.slice_scores import score_axis, sliced_axes

    catalog = folder.catalog
    names = {info.id: info.name for info in catalog.classes}
    lines = [
        f"{count(folder.measured(ERROR_PIXELS), 'image')}, {folder.wrong_px:,} wrong px",
        "",
        "Confused classes (both ways, without background)",
    ]
    lines += [
        f"  {names[pair.one]} / {names[pair.other]}: {pair.forward:,} + {pair.backward:,} px, score {pair.score:.3f}"
        for pair in confused_pairs(folder.total(ERROR_PIXELS), catalog, limit=8)
    ]
    lines += ["", f"{'Kind of failure':18} {'share':>7} {'pixels':>12} {'number':>7} {'mIoU won':>9}"]
    lines += [
        f"{row.kind.value:18} {row.share:7.1%} {row.pixels:12,} {row.instances:7,} {100 * row.mean_gain:+9.2f}"
        f"  {KIND_TEXT[row.kind]}"
        for row in folder.failures()
        if row.pixels
    ]
    lines += [f"{kind.value:18} not measured: {KIND_NEEDS[kind]}" for kind in sorted(folder.unmeasured)]
    scored = {axis.name: (axis, score_axis(axis)) for axis in sliced_axes(folder, own)}
    for name in (ObjectAxis.SIZE, ObjectAxis.VISIBLE_FRACTION, ObjectAxis.BORDER_SHARE, ObjectAxis.CONTRAST):
        if name.value in scored:
            rows = zip(slice_objects(folder.objects, name), scored[name.value][1], strict=True)
            head = f"{'objects':>7} {'IoU':>6} {'95 % interval':>16} {'recall':>7} {'swapped':>8} {'lost':>6}"
            lines += ["", f"{'Objects by ' + name.value:28} {head}"]
            lines += [
                f"  {f'from {row.low:g}':26} {row.objects:7,} {row.iou:6.3f} {_interval(score):>16} {row.recall:7.1%} "
                f"{row.swapped:8.1%} {row.lost:6.1%}"
                for row, score in rows
                if row.objects
            ]
    for axis, scores in scored.values():
        if axis.own:
            things, measure = ("objects", "IoU") if axis.unit == "object" else ("images", "mIoU")
            lines += ["", f"{axis.name[:28]:28} {things:>7} {measure:>6} {'95 % interval':>16}"]
            lines += [
                f"  {one.label[:26]:26} {one.count:7,} {one.score:6.3f} {_interval(one):>16}" for one in scores if one.count
            ]
    return "\n".join(lines)


def _interval(score: SliceScore) -> str:
    return "" if math.isnan(score.interval[0]) else f"[{score.interval[0]:.3f}, {score.interval[1]:.3f}]"


def _component_lines(folder: FolderAnalysis, listed: list[ErrorComponent], catalog: ClassCatalog, order: str) -> str:
    names = {info.id: info.name for info in catalog.classes} | {catalog.ignore: "void"}
    titles = {
        "size": "Largest connected errors",
        "gain_folder": "Connected errors by what fixing one adds to the folder's mIoU",
        "gain_image": "Connected errors by what fixing one adds to its image's mIoU",
    }
    lines = ["", titles[order]]
    for entry, worth in zip(listed, _worths(folder, listed, order), strict=True):
        gain = "" if order == "size" else f"  +{worth:.4f}"
        text = f"{names[entry.truth]} called {names[entry.prediction]}  {place_text(entry.image, entry.box)}"
        lines.append(f"{gain}  {entry.pixels:9,} px  {text}")
    return "\n".join(lines if listed else [*lines, "  none"])


def _write_cutouts(
    found: FolderInspection,
    listed: list[ErrorComponent],
    images: Path,
    out: Path,
    frame: Frame = "auto",
) -> None:
    """One picture per listed component: rank, classes and image in its name."""
    from deeplab_core.analysis import component_mask
    from deeplab_core.analysis.cutout import cutout
    from deeplab_core.atomic import atomic_write, make_folder
    from deeplab_core.images import read_image
    from deeplab_core.masks.png import encode_png
    from deeplab_core.metrics.pair_reader import PairReader

    names = {info.id: info.name for info in found.analysis.catalog.classes} | {found.analysis.catalog.ignore: "void"}
    reader = PairReader(found.analysis.catalog, images_dir=images, frame=frame)
    make_folder(out)
    for rank, entry in enumerate(listed, start=1):
        photograph = reader.photograph(entry.image)
        if photograph is None:
            say(f"atrous: no photograph for {one_line(entry.image)} in {images}", err=True)
            continue
        data, pair = read_image(photograph), found.pairs[entry.image]
        truth, prediction = reader.truth(pair.truth, data.info), reader.prediction(pair.prediction, data.info)
        picture = cutout(data.rgb, entry, component_mask(entry, truth=truth, prediction=prediction))
        name = f"{rank:03d}_{names[entry.truth]}_called_{names[entry.prediction]}_{Path(entry.image).stem}.png"
        atomic_write(out / name.replace(" ", "_").replace("/", "_"), encode_png(picture))


def _complain(failures: Sequence[AtrousError]) -> int:
    for error in failures:
        say(f"atrous: not inspected: {error}", err=True)
    return 1 if failures else 0
