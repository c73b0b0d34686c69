"""The report's page: what was compared, the figures and their rules, where the network fails, image by image."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from deeplab_core.boundary.band import BAND_RULE_TEXT, WIDEST
from deeplab_core.errors import AtrousError
from deeplab_core.formats.atomic import atomic_write
from deeplab_core.metrics.evaluate import Evaluation
from deeplab_core.metrics.report import tables
from deeplab_core.metrics.report.curve import curve_svg
from deeplab_core.metrics.report.style import STYLE
from deeplab_core.metrics.scores import ABSENT_RULE_TEXT

#: Files named at once in a warning; the others unfold.
_LISTED = 5


def write_report(evaluation: Evaluation, path: Path | str, title: str = "Evaluation") -> None:
    """Write :func:`render_report` to a file, atomically. Raises StorageError where it cannot be written."""
    atomic_write(path, render_report(evaluation, title).encode())


def render_report(evaluation: Evaluation, title: str = "Evaluation") -> str:
    """The page as HTML text."""
    sections = [*_warnings(evaluation), _classes(evaluation), _band(evaluation), _confusion(evaluation), _images(evaluation)]
    body = f"<h1>{escape(title)}</h1>{_subtitle(evaluation)}{_tiles(evaluation)}{''.join(sections)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _subtitle(evaluation: Evaluation) -> str:
    number = len(evaluation.images)
    catalog = evaluation.catalog
    return (
        f'<p class="quiet">{tables.pixels(number)} {"image" if number == 1 else "images"} · '
        f"{tables.pixels(evaluation.matrix.total)} labelled px · {escape(catalog.title)}</p>"
    )


def _tiles(evaluation: Evaluation) -> str:
    matrix = evaluation.matrix
    mean, accuracy = matrix.mean_iou("union"), matrix.mean_accuracy()
    tiles = [
        (tables.percent(mean.value), f"mIoU over {mean.classes} classes"),
        (tables.percent(matrix.pixel_accuracy()), "pixel accuracy"),
        (tables.percent(accuracy.value), f"mean accuracy over {accuracy.classes} classes"),
        (tables.percent(matrix.frequency_weighted_iou()), "frequency weighted IoU"),
    ]
    if matrix.void_predictions:
        share = matrix.void_predictions / matrix.total
        tiles.append((tables.percent(share), "of the labelled pixels have no prediction: misses, and nobody's false alarm"))
    cards = "".join(f'<div class="tile"><b>{value}</b><span class="quiet">{escape(text)}</span></div>' for value, text in tiles)
    rule = f"mIoU: {ABSENT_RULE_TEXT['union']}. Void truth is not counted."
    return f'<div class="tiles">{cards}</div><p class="rule" style="margin-top:8px">{escape(rule)}</p>'


def _warnings(evaluation: Evaluation) -> Iterable[str]:
    groups = (
        ("could not be compared", [_failure(error) for error in evaluation.failures]),
        ("of the truth without a prediction; the figures are those of the rest", _paths(evaluation.missing)),
        ("of the predictions without truth", _paths(evaluation.extra)),
    )
    for what, items in groups:
        if items:
            heading = f"{len(items)} {'file' if len(items) == 1 else 'files'} {what}"
            listed = _list(items[:_LISTED]) + _folded(items[_LISTED:])
            yield f'<section class="warning"><h2>{escape(heading)}</h2>{listed}</section>'


def _folded(items: list[str]) -> str:
    return f"<details><summary>and {len(items)} more</summary>{_list(items)}</details>" if items else ""


def _list(items: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _failure(error: AtrousError) -> str:
    return escape(str(error))


def _paths(paths: Iterable[Path]) -> list[str]:
    return [f"<code>{escape(str(path))}</code>" for path in paths]


def _classes(evaluation: Evaluation) -> str:
    rule = "Of all labelled pixels of the folder, pooled. IoU = hits / (truth + prediction - hits)."
    table = _scroll(tables.class_table(evaluation.matrix))
    return _section("Classes", rule, table + tables.absent_classes(evaluation.matrix))


def _band(evaluation: Evaluation) -> str:
    histogram = evaluation.histogram
    heading = f"Boundary band around the {histogram.around}"
    rule = f"Rule \u2013 {BAND_RULE_TEXT[histogram.rule]}. The two rules are not comparable with each other below about 10 px."
    if not histogram.inside(WIDEST).total:
        return _section(heading, rule, f"<p>{tables.NOT_AVAILABLE}: no pixel lies within {WIDEST} px of such a boundary.</p>")
    figure = curve_svg(
        histogram.curve("union"),
        whole_iou=evaluation.matrix.mean_iou("union").value,
        whole_accuracy=evaluation.matrix.pixel_accuracy(),
        widths=evaluation.widths,
    )
    banded = sum(image.band_px > 0 for image in evaluation.images)
    count = f"{tables.pixels(banded)} of {tables.pixels(len(evaluation.images))} images have such a boundary"
    caption = f"<figcaption>Inside the band, pooled; dashed: all labelled pixels. {count}.</figcaption>"
    details = ""
    if evaluation.widths:
        details = _scroll(tables.band_table(histogram, evaluation.widths)) + _scroll(
            tables.band_class_table(histogram, evaluation.widths)
        )
    return _section(heading, rule, f"<figure>{figure}{caption}</figure>{details}")


def _confusion(evaluation: Evaluation) -> str:
    rule = "Rows are truth, columns are predictions; each row in percent of its truth class. Point at a cell for pixels."
    table = _scroll(tables.heat_table(evaluation.matrix))
    return _section("Confusion", rule, table) + _section(
        "Largest confusions", "Between two classes; void is left out.", _scroll(tables.confusion_list(evaluation.matrix))
    )


def _images(evaluation: Evaluation) -> str:
    rule = f"Worst first. mIoU of one image: {ABSENT_RULE_TEXT['truth']}; the last columns are mIoU inside the band."
    return _section("Images", rule, _scroll(tables.image_table(evaluation)))


def _section(heading: str, rule: str, content: str) -> str:
    return f'<section><h2>{escape(heading)}</h2><p class="rule">{escape(rule)}</p>{content}</section>'


def _scroll(table: str) -> str:
    return f'<div class="scroll">{table}</div>'
