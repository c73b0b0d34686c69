"""Figures of a folder with ground truth: what stride, scales, mirroring and the decoder change, and where networks fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis import ErrorComponent
from deeplab_core.analysis.cutout import cutout_box
from deeplab_core.analysis.image import inspect_image
from deeplab_core.analysis.kinds import FailureKind
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, message
from deeplab_core.figures.record import DrawnFigure, FigureInputs, NamedModel, TruthPair
from deeplab_core.figures.style import RAMP, SERIES, panels, show_picture
from deeplab_core.inference import PredictOptions, Predictor
from deeplab_core.masks.export.masks import color_table
from deeplab_core.metrics.confusion import check_same_classes
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.nn import count_multiply_adds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Side of the square image that multiply-adds are counted for, px; that of the DeepLab papers.
_SIDE = 513
#: Widest band that is drawn, px.
_WIDEST = 20
_PER_KIND = 3
#: Smaller components say nothing as a picture.
_LEAST_PIXELS = 200


@dataclass(frozen=True, slots=True, eq=False)
class RunCounts:
    """One network run in one way over a folder.

    Attributes:
        histogram: counts by the distance to the nearest class edge of the ground truth.
        seconds: of all forward passes.
    """

    histogram: BandHistogram
    seconds: float

    @property
    def mean_iou(self) -> float:
        """Over the classes of the ground truth, 0..1."""
        return self.histogram.total().mean_iou("truth").value

    def band_iou(self, width: int) -> float:
        """The same within ``width`` px of class edges."""
        return self.histogram.inside(width).mean_iou("truth").value


def read_pairs(inputs: FigureInputs) -> Iterator[TruthPair]:
    """The folder's images with their ground truth, one at a time."""
    assert inputs.pairs is not None
    yield from inputs.pairs()


def predictor_of(named: NamedModel, catalog: ClassCatalog | None) -> Predictor:
    """A predictor on the CPU for a network with the classes of the ground truth.

    Raises:
        CatalogError: it has other classes.
    """
    if catalog is not None:
        check_same_classes(named.card.catalog, catalog)
    return Predictor(named.model, named.card, PredictOptions(device="cpu"))


def measure(inputs: FigureInputs, named: NamedModel, options: PredictOptions) -> RunCounts:
    """Predict the folder in one way and count.

    Raises:
        CatalogError: the network has other classes than the ground truth.
        AtrousError: an option that it does not have.
    """
    catalog = inputs.catalog
    assert catalog is not None
    predictor = predictor_of(named, catalog)
    histogram = BandHistogram(catalog, rule="edge")
    seconds = 0.0
    for pair in read_pairs(inputs):
        began = time.perf_counter()
        labels = predictor(pair.rgb, options=options).labels
        seconds += time.perf_counter() - began
        index = band_map(truth=pair.truth, ignore=catalog.ignore, rule="edge")
        histogram.update(index=index, truth=pair.truth, prediction=labels)
    return RunCounts(histogram, seconds)


def _points(value: float) -> float:
    return round(100.0 * value, 3)


def output_stride(inputs: FigureInputs) -> DrawnFigure:
    """Mean IoU, IoU near edges and multiply-adds of one network at every output stride that it has."""
    named = inputs.models[0]
    rows: list[dict[str, Any]] = []
    times: dict[str, float] = {}
    for stride in sorted(named.model.output_strides, reverse=True):
        inputs.say(f"{named.name} at output stride {stride}")
        found = measure(inputs, named, PredictOptions(device="cpu", output_stride=stride))
        before = named.model.output_stride
        named.model.output_stride = stride
        cost = count_multiply_adds(named.model, (_SIDE, _SIDE))
        named.model.output_stride = before
        rows.append(
            {
                "output_stride": stride,
                "mean_iou": _points(found.mean_iou),
                "band_iou": _points(found.band_iou(inputs.band)),
                "band_px": inputs.band,
                "multiply_adds_g": round(cost / 1e9, 3),
            }
        )
        times[f"output stride {stride}, s per image"] = round(found.seconds / max(1, inputs.pair_count), 4)
    figure, axes = panels(2, width=3.2, height=3.0)
    places = np.arange(len(rows))
    labels = [str(row["output_stride"]) for row in rows]
    for colour, key, name in (
        (SERIES[0], "mean_iou", "whole image"),
        (SERIES[1], "band_iou", f"within {inputs.band} px of edges"),
    ):
        axes[0, 0].plot(places, [row[key] for row in rows], color=colour, marker="o", label=name)
    axes[0, 0].set_ylabel("mean IoU, %")
    axes[0, 0].legend()
    axes[0, 1].bar(places, [row["multiply_adds_g"] for row in rows], color=SERIES[0], width=0.6)
    axes[0, 1].set_ylabel(f"multiply-adds at {_SIDE} x {_SIDE}, 10⁹")
    for axis in axes[0]:
        axis.set_xticks(places, labels)
        axis.set_xlabel("output stride")
    trained = named.card.output_stride
    parameters = {"model": named.name, "images": inputs.pair_count, "trained_at": trained, "rule": "edge"}
    return DrawnFigure(figure=figure, rows=rows, parameters=parameters, times=times)


def protocol(inputs: FigureInputs) -> DrawnFigure:
    """Mean IoU by the stride of training (one network each), the stride of evaluation, scales and mirroring."""
    ways = [("one scale", (1.0,), False), ("mirrored", (1.0,), True), ("scales", inputs.scales, False),
            ("scales, mirrored", inputs.scales, True)]  # fmt: skip
    rows: list[dict[str, Any]] = []
    for named in inputs.models:
        strides: list[int] = [stride for stride in (16, 8) if stride in named.model.output_strides]
        for stride in strides or [named.model.output_stride]:
            for name, scales, flip in ways:
                inputs.say(f"{named.name} at output stride {stride}, {name}")
                options = PredictOptions(device="cpu", output_stride=stride, scales=scales, flip=flip)
                found = measure(inputs, named, options)
                rows.append(
                    {
                        "model": named.name,
                        "train_stride": named.card.output_stride,
                        "eval_stride": stride,
                        "scales": " ".join(f"{scale:g}" for scale in scales),
                        "mirrored": flip,
                        "mean_iou": _points(found.mean_iou),
                        "band_iou": _points(found.band_iou(inputs.band)),
                    }
                )
    lines = [rows[start : start + len(ways)] for start in range(0, len(rows), len(ways))]
    table = np.array([[row["mean_iou"] for row in line] for line in lines])
    figure, axes = panels(1, width=1.5 * len(ways) + 2.0, height=0.45 * len(lines) + 1.4)
    axis = axes[0, 0]
    spread = max(0.5, float(np.ptp(table)))
    axis.imshow(table, cmap=RAMP, vmin=float(table.min()) - spread, vmax=float(table.max()) + 0.5 * spread, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        axis.text(column, row, f"{value:.1f}", ha="center", va="center")
    axis.set_xticks(range(len(ways)), [name for name, _, _ in ways])
    axis.set_yticks(
        range(len(lines)),
        [f"{line[0]['model']}: trained {line[0]['train_stride']}, run {line[0]['eval_stride']}" for line in lines],
    )
    axis.set_title("mean IoU, %")
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.tick_params(length=0)
    return DrawnFigure(figure=figure, rows=rows, parameters={"images": inputs.pair_count, "band_px": inputs.band})


def decoders(inputs: FigureInputs) -> DrawnFigure:
    """Mean IoU within 1..20 px of class edges, one curve for each network."""
    figure, axes = panels(1, width=5.2, height=3.4)
    axis = axes[0, 0]
    rows: list[dict[str, Any]] = [{"width_px": width} for width in range(1, _WIDEST + 1)]
    for colour, named in zip(SERIES * 3, inputs.models, strict=False):
        inputs.say(named.name)
        curve = measure(inputs, named, PredictOptions(device="cpu")).histogram.curve("truth").mean_iou[:_WIDEST]
        axis.plot(np.arange(1, _WIDEST + 1), 100 * curve, color=colour, label=named.name)
        for row, value in zip(rows, curve.tolist(), strict=True):
            row[named.name] = None if np.isnan(value) else _points(value)
    axis.set_xlabel("trimap width, px")
    axis.set_ylabel("mean IoU, %")
    axis.set_xlim(0, _WIDEST + 0.5)
    axis.legend()
    return DrawnFigure(figure=figure, rows=rows, parameters={"images": inputs.pair_count, "rule": "edge"})


@dataclass(frozen=True, slots=True, eq=False)
class _Failure:
    component: ErrorComponent
    image: str
    pictures: tuple[NDArray[np.uint8], ...]


def failures(inputs: FigureInputs) -> DrawnFigure:
    """The largest failures of three kinds: sofas and chairs swapped, occlusion, objects that were missed.

    Data without chairs and sofas shows swaps between any two object classes.
    """
    named, catalog = inputs.models[0], inputs.catalog
    assert catalog is not None
    predictor = predictor_of(named, catalog)
    pair = [catalog.by_name(name) for name in ("chair", "sofa")]
    furniture = {info.id for info in pair if info is not None} if all(pair) else None
    kinds = {
        "sofa and chair swapped" if furniture else "object classes swapped": FailureKind.CLASS_SWAP,
        "occlusion": FailureKind.OCCLUDER_CUT,
        "missed (rare views)": FailureKind.MISSED_OBJECT,
    }
    kept: dict[str, list[_Failure]] = {title: [] for title in kinds}
    for item in read_pairs(inputs):
        labels = predictor(item.rgb).labels
        record = inspect_image(truth=item.truth, prediction=labels, catalog=catalog)
        assert record.errors is not None
        for title, kind in kinds.items():
            for component in record.errors.listed(item.name):
                if kind not in component.kinds:
                    continue
                if component.pixels < _LEAST_PIXELS:
                    continue
                if kind is FailureKind.CLASS_SWAP and furniture and {component.truth, component.prediction} != furniture:
                    continue
                kept[title].append(_Failure(component, item.name, _pictures(item, labels, component, catalog)))
            kept[title].sort(key=lambda one: (-one.component.pixels, one.image, one.component.box.y, one.component.box.x))
            del kept[title][_PER_KIND:]
    return _gallery(kept, named, catalog, inputs.pair_count)


def _pictures(
    item: TruthPair, labels: NDArray[Any], component: ErrorComponent, catalog: ClassCatalog
) -> tuple[NDArray[np.uint8], ...]:
    """The part of an image around a component: picture, ground truth, prediction."""
    box = cutout_box(component, item.rgb.shape)
    colours = color_table(catalog)
    return (
        item.rgb[box.slices].copy(),
        colours[item.truth[box.slices]],
        colours[labels[box.slices]],
    )


def _gallery(kept: dict[str, list[_Failure]], named: NamedModel, catalog: ClassCatalog, images: int) -> DrawnFigure:
    titles = [title for title in kept if kept[title]]
    if not titles:
        raise AtrousError(
            message("{model} has no failure of these kinds here", model=named.name),
            remedy=message("Choose another folder or model"),
        )
    figure, axes = panels(3 * _PER_KIND, len(titles), width=1.25, height=1.35)
    rows: list[dict[str, Any]] = []
    shown: set[int] = set()
    for number, (line, title) in enumerate(zip(axes, titles, strict=True)):
        for axis in line:
            axis.set_axis_off()
        for place, found in enumerate(kept[title]):
            names = ("image", "ground truth", named.name)
            for axis, picture, name in zip(line[3 * place : 3 * place + 3], found.pictures, names, strict=True):
                axis.set_axis_on()
                show_picture(axis, picture, "" if number else name)
                axis.title.set_fontsize(7.5)
            component = found.component
            shown |= {component.truth, component.prediction}
            rows.append(
                {
                    "failure": title,
                    "image": found.image,
                    "truth": catalog.by_id(component.truth).name,
                    "prediction": "void" if component.prediction == catalog.ignore else catalog.by_id(component.prediction).name,
                    "pixels": component.pixels,
                    "x": component.box.x,
                    "y": component.box.y,
                    "width": component.box.width,
                    "height": component.box.height,
                }
            )
        line[0].set_ylabel(title, fontsize=7.5)
    _class_legend(figure, catalog, shown)
    return DrawnFigure(figure=figure, rows=rows, parameters={"model": named.name, "images": images})


def _class_legend(figure: Figure, catalog: ClassCatalog, shown: set[int]) -> None:
    from matplotlib.patches import Patch

    classes = [info for info in catalog.classes if info.id in shown]
    handles = [
        Patch(facecolor="#{:02x}{:02x}{:02x}".format(*info.color), edgecolor="#404040", label=info.name) for info in classes
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)), fontsize=7.5)
