"""``python -m tools.format_table``: write the tables of ``docs/formats.md`` from the tables of formats in the code.

Only what is between the two marks is written; the text around it is by hand.
"""

from __future__ import annotations

from pathlib import Path

from deeplab_core.masks.export.formats import FORMATS as EXPORTS
from deeplab_core.masks.export.formats import ExportFormat
from deeplab_core.masks.importing.formats import FORMATS as IMPORTS
from deeplab_core.masks.importing.records import Format

PAGE = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- tables: written by python -m tools.format_table -->", "<!-- end of the tables -->"

#: Export -> import of the same format.
SAME = {
    "voc": "voc", "cityscapes": "cityscapes", "cityscapes_ids": "cityscapes", "cityscapes_train_ids": "cityscapes",
    "ade20k": "ade20k", "coco_rle": "coco", "coco_instances": "coco", "coco_panoptic": "coco_panoptic", "labelme": "labelme",
    "yolo": "yolo", "cvat_images": "cvat", "cvat_masks": "cvat_masks", "npy": "numpy", "npz": "numpy", "parquet": "parquet",
    "binary": "binary", **dict.fromkeys(("indexed", "raw_ids", "ids_16bit", "color", "geotiff"), "masks"),
}  # fmt: skip


def tables() -> str:
    """Both tables as Markdown."""
    by_key = {entry.key: entry for entry in IMPORTS}
    rows = [
        "| format | in | out | own reader | exact pixels in | what is lost in | exact pixels out | what is lost out |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(entry, by_key.get(SAME.get(entry.name, ""))) for entry in EXPORTS.values()),
        *(_only_in(entry) for entry in IMPORTS if entry.key not in SAME.values()),
    ]
    parts = ["### What each export writes", *(_section(entry) for entry in EXPORTS.values())]
    return "\n".join(rows) + "\n\n" + "\n\n".join(parts) + "\n"


def _row(entry: ExportFormat, other: Format | None) -> str:
    extra = f" (extra `{entry.extra}`)" if entry.extra else ""
    read = "no" if other is None else f"`{other.key}`"
    cells = (
        entry.title, read, f"`{entry.name}`{extra}", ", ".join(entry.tested) or "-", *_in(other), entry.exact,
        entry.loses or "nothing",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _only_in(entry: Format) -> str:
    extra = f" (extra `{entry.extra}`)" if entry.extra else ""
    return f"| {' | '.join((entry.title, f'`{entry.key}`{extra}', 'no', '-', *_in(entry), '-', '-'))} |"


def _in(entry: Format | None) -> tuple[str, str]:
    """Whether pixels come in as they are, and what is lost, of a format that is read."""
    if entry is None:
        return "-", "-"
    return "yes" if entry.lossless else "by the import rules", "; ".join(entry.lost)


def _section(entry: ExportFormat) -> str:
    lines = [f"**`{entry.name}`**, {entry.title}.", f"Files: {entry.writes}."]
    if entry.splits:
        lines.append("Splits have a place in it.")
    if entry.options:
        lines.append(f"Options: {', '.join('`--' + name.replace('_', '-') + '`' for name in entry.options)}.")
    if entry.reader:
        lines.append(f"Also read by {entry.reader}.")
    return " ".join(lines)


def written(page: str) -> str:
    """The page with the tables of today. Raises ValueError where it has no marks."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no marks for the tables")
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
