"""What the comparison's dock shows, as texts: rows of its table, parts of its difference, lines of its list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from app.state.comparison import (
    LETTERS,
    ComparedModel,
    FolderComparison,
    ImageDifference,
    ModelFigures,
    ModelPrediction,
    ModelResult,
    ModelSetting,
    PairCount,
    shown_classes,
)
from app.text import mark, percent, plural, points, spaced, tr
from app.viewmodels.evaluate.curves import Curve
from deeplab_core.analysis.ablation import Ablation
from deeplab_core.analysis.verdicts import ScoreChange, Verdict
from deeplab_core.catalogs.catalog import ClassCatalog, Color

_DASH = "–"


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One line of the list of models.

    Attributes:
        letter: its pane, empty for a model that does not take part.
        state: why it cannot take part, which of its classes the project lacks, or what happened to the memory; may be empty.
        trouble: whether ``state`` is something to look at.
    """

    setting: ModelSetting
    title: str
    letter: str = ""
    state: str = ""
    trouble: bool = False


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of the table.

    Attributes:
        color: swatch of a class; None for a summary.
        values: one text per model.
        best: places of the models with the best figure, where one is better than another.
        tip: what the figures are.
    """

    name: str
    values: tuple[str, ...]
    color: Color | None = None
    best: frozenset[int] = frozenset()
    tip: str = ""


@dataclass(frozen=True, slots=True)
class VerdictCell:
    """What one model does to one figure of the first one.

    Attributes:
        text: change in points, and the verdict.
        interval: of the change.
        tone: token of the colour.
        tip: everything in words.
    """

    text: str
    interval: str
    tone: str
    tip: str


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One figure, and a cell for every model after the first."""

    name: str
    color: Color | None
    cells: tuple[VerdictCell, ...]


@dataclass(frozen=True, slots=True)
class ImageLine:
    """One line of the list of images on which models differ.

    Attributes:
        share: of the pixels, 0..1.
        gain: mIoU of the second model of the pair minus that of the first; None without truth.
    """

    image: int
    name: str
    share: float
    gain: float | None


@dataclass(frozen=True, slots=True)
class ComparedFigures:
    """The figures that the dock shows: those of the image in view, or of the folder.

    Attributes:
        names: (letter, title) of each model with figures or an answer.
        rows: of the table.
        curves: mIoU over the width of the band, by place; empty without one.
        heading: what the numbers of the classes are.
        difference: (role of the colour, text), see :func:`difference_parts`.
        tip: what the difference is a share of.
    """

    names: list[tuple[str, str]]
    rows: list[TableRow]
    curves: list[tuple[float, ...]]
    heading: str
    difference: list[tuple[str, str]]
    tip: str


def remark(prediction: ModelPrediction | None) -> str:
    """What the user should know of a model's answer: classes that the project lacks, and what happened to the memory."""
    if prediction is None:
        return ""
    number = len(prediction.unmatched)
    lost = plural(
        "{n} class has no matching class in this project: treated as void",
        "{n} classes have no matching class in this project: treated as void",
        number,
    )
    return ". ".join(part.rstrip(".") for part in (lost if number else "", tr(prediction.note)) if part)


def model_entries(
    choices: Sequence[tuple[ModelSetting, str]], models: Sequence[ComparedModel], results: Sequence[ModelResult]
) -> list[ModelLine]:
    """Lines of the list: every model that may take part, with the letter and the state of those that do."""
    taking = {model.setting: (place, model) for place, model in enumerate(models)}
    entries = []
    for setting, title in choices:
        if setting not in taking:
            entries.append(ModelLine(setting, title))
            continue
        place, model = taking[setting]
        prediction = results[place].prediction if place < len(results) else None
        trouble = bool(model.problem) or (prediction is not None and bool(prediction.unmatched))
        entries.append(ModelLine(setting, model.title, LETTERS[place], model.problem or remark(prediction), trouble))
    return entries


def image_figures(
    catalog: ClassCatalog,
    models: Sequence[ComparedModel],
    results: Sequence[ModelResult],
    difference: PairCount | None,
    pair: tuple[int, int],
) -> ComparedFigures:
    """Of the image in view."""
    times = [None if result.prediction is None else result.prediction.milliseconds for result in results]
    tip = tr("Share of the pixels in this image")
    return _figures(catalog, models, [result.figures for result in results], times, difference, pair, tip, folder=False)


def folder_figures(
    catalog: ClassCatalog, result: FolderComparison, figures: Sequence[ModelFigures | None], pair: tuple[int, int]
) -> ComparedFigures:
    """Of the folder, pooled."""
    tip = tr(
        "Pooled over {rows}, {scored} of them with ground truth",
        rows=plural("{n} image", "{n} images", len(result.rows)),
        scored=result.scored,
    )
    return _figures(catalog, result.models, figures, result.milliseconds, result.pairs.get(pair), pair, tip, folder=True)


def _figures(
    catalog: ClassCatalog,
    models: Sequence[ComparedModel],
    figures: Sequence[ModelFigures | None],
    times: Sequence[float | None],
    difference: PairCount | None,
    pair: tuple[int, int],
    tip: str,
    *,
    folder: bool,
) -> ComparedFigures:
    return ComparedFigures(
        names=[(LETTERS[place], model.title) for place, model in enumerate(models)][: len(figures)],
        rows=table_rows(catalog, figures, times, folder=folder) if figures else [],
        curves=[() if found is None else found.curve for found in figures],
        heading=heading(figures),
        difference=[] if difference is None else difference_parts(difference, pair),
        tip=tip,
    )


def table_rows(
    catalog: ClassCatalog, figures: Sequence[ModelFigures | None], times: Sequence[float | None], *, folder: bool = False
) -> list[TableRow]:
    """Summary rows, then a row per class: IoU in percent with truth, else the share of the picture.

    Args:
        figures: by place; None for a model that has not answered.
        times: milliseconds by place; None or nan where unknown.
    """
    has_truth = any(found is not None and found.iou for found in figures)
    rows = [*_mean_rows(figures, folder=folder)] if has_truth else []
    rows.append(_time_row(times))
    rows += [_class_row(catalog, class_id, figures, has_truth=has_truth) for class_id in shown_classes(catalog, figures)]
    return rows


def _mean_rows(figures: Sequence[ModelFigures | None], *, folder: bool) -> tuple[TableRow, TableRow]:
    """Mean IoU and pixel accuracy of each model."""
    over = tr("in the ground truth of the folder") if folder else tr("in the ground truth of this image")
    means = [None if found is None else found.mean for found in figures]
    counts = {found.classes for found in figures if found is not None}
    number = plural("{n} class", "{n} classes", max(counts)) if counts else ""
    tip = tr("Mean IoU over the {number} {over}, the same for every model", number=number, over=over) if counts else ""
    title = tr("mIoU over {counts}", counts=max(counts)) if counts else tr("mIoU")
    accuracies = [None if found is None else found.accuracy for found in figures]
    right = tr("Share of labelled pixels that are correct")
    return (
        TableRow(title, _percents(means), best=_best(means), tip=tip),
        TableRow(tr("Pixel accuracy"), _percents(accuracies), best=_best(accuracies), tip=right),
    )


def _time_row(times: Sequence[float | None]) -> TableRow:
    spent = tuple(_DASH if value is None or isnan(value) else spaced(round(value)) for value in times)
    tip = tr("Time per prediction in milliseconds, when it was computed; for a folder the mean")
    quick = _best([None if value is None or isnan(value) else -value for value in times])
    return TableRow(tr("Time, ms"), spent, best=quick, tip=tip)


def _class_row(catalog: ClassCatalog, class_id: int, figures: Sequence[ModelFigures | None], *, has_truth: bool) -> TableRow:
    info = catalog.by_id(class_id)
    if has_truth:
        values = [None if found is None else found.iou.get(class_id) for found in figures]
        return TableRow(info.name, _percents(values), info.color, _best(values), tr("IoU in percent"))
    values = [None if found is None else found.shares.get(class_id, 0.0) for found in figures]
    return TableRow(info.name, _percents(values), info.color, tip=tr("Share of the image in percent"))


def heading(figures: Sequence[ModelFigures | None]) -> str:
    """What the numbers of the classes are."""
    return tr("IoU, %") if any(found is not None and found.iou for found in figures) else tr("Area, %")


def difference_parts(count: PairCount, pair: tuple[int, int]) -> list[tuple[str, str]]:
    """(role of the colour, text) of what the difference pane shows, roles as in ``DIFFERENCE_COLORS``; without truth one part."""
    one, other = (LETTERS[place] for place in pair)
    if count.unjudged == count.differ:
        return [("unjudged", tr("differ {share}", share=_share(count.differ, count.pixels)))]
    parts = [
        ("first", tr("{one} correct {share}", one=one, share=_share(count.first, count.pixels))),
        ("second", tr("{other} correct {share}", other=other, share=_share(count.second, count.pixels))),
        ("neither", tr("neither {share}", share=_share(count.neither, count.pixels))),
    ]
    if count.unjudged:
        parts.append(("unjudged", tr("void {share}", share=_share(count.unjudged, count.pixels))))
    return parts


def image_lines(rows: Sequence[ImageDifference], pair: tuple[int, int]) -> list[ImageLine]:
    """Images by how much two models differ on them, the most first; images without any difference are left out."""
    lines = []
    for row in rows:
        count = row.pairs.get(pair)
        if count is None or not count.differ:
            continue
        first, second = row.means[pair[0]], row.means[pair[1]]
        gain = None if isnan(first) or isnan(second) else second - first
        lines.append(ImageLine(row.image, row.name, count.share, gain))
    return sorted(lines, key=lambda line: (-line.share, line.name))


def signed(value: float | None) -> str:
    """A difference of IoU in points: ``+3.1``, ``−0.4``; empty for None."""
    return "" if value is None else points(value)


def _percents(values: Sequence[float | None]) -> tuple[str, ...]:
    return tuple(percent(value) for value in values)


def _best(values: Sequence[float | None]) -> frozenset[int]:
    """Places of the largest value, as far as it is shown; empty where all are equal or alone."""
    known = {place: round(value, 3) for place, value in enumerate(values) if value is not None and not isnan(value)}
    if len(set(known.values())) < 2:
        return frozenset()
    return frozenset(place for place, value in known.items() if value == max(known.values()))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def model_curves(models: Sequence[ComparedModel], figures: Sequence[ModelFigures | None]) -> list[Curve]:
    """Trimap curves for the plots, named as the panes and the table name the models; two files may have one name."""
    return [
        Curve(f"{LETTERS[place]}: {model.title}", found.curve, place)
        for place, (model, found) in enumerate(zip(models, figures, strict=False))
        if found is not None and found.curve
    ]


#: Verdicts of a setting, as ``atrous ablate`` says them.
_WORDS = {
    Verdict.BETTER: mark("helps"),
    Verdict.WORSE: mark("hurts"),
    Verdict.UNCLEAR: mark("cannot tell"),
    Verdict.FEW: mark("too few"),
    Verdict.WITHHELD: mark("not the same ground truth"),
}
_TONES = {Verdict.BETTER: "good", Verdict.WORSE: "bad"}


def verdict_rows(catalog: ClassCatalog, found: Ablation) -> list[VerdictRow]:
    """What every model does to the figures of the first one: overall, inside bands, and by class."""
    compared = [(row.model, row.comparison) for row in found.others if row.comparison is not None]
    rows: list[VerdictRow] = []
    for family in ("overall", "classes"):
        changes = [{change.name: change for change in getattr(comparison, family)} for _, comparison in compared]
        for name in dict.fromkeys(name for each in changes for name in each):
            cells = tuple(_verdict_cell(each.get(name), model) for each, (model, _) in zip(changes, compared, strict=True))
            info = next((one for one in catalog.classes if one.name == name), None) if family == "classes" else None
            if any(cell.text for cell in cells):
                rows.append(VerdictRow(_verdict_name(name, family), None if info is None else info.color, cells))
    return rows


def _verdict_name(name: str, family: str) -> str:
    """How a figure of a comparison is called here: a class by its name, overall scores in the language of the window."""
    if family == "classes" or name == "mIoU":
        return name
    width = next((word for word in name.split() if word.isdecimal()), "")
    return tr("mIoU within {width} px", width=width) if width else tr("Pixel accuracy")


def _verdict_cell(change: ScoreChange | None, model: str) -> VerdictCell:
    if change is None or isnan(change.difference):
        return VerdictCell("", "", "muted", tr("not measured"))
    word = tr(_WORDS[change.verdict])
    interval = "" if isnan(change.low) else f"[{points(change.low)}, {points(change.high)}]"
    tip = tr(
        "{model} against A: {before} before, {after} after",
        model=model, before=percent(change.before), after=percent(change.after),
    )  # fmt: skip
    if not isnan(change.p):
        tip += ". " + tr("p {value}, corrected over all models and figures of this kind (Holm)", value=f"{change.p:.4f}")
    number = plural("{n} image", "{n} images", change.images)
    return VerdictCell(f"{points(change.difference)} {word}", interval, _TONES.get(change.verdict, "muted"), f"{tip}. {number}.")
