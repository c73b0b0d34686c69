"""Class lists of other programs, read as catalogs and written from them.

What a list does not say is filled in by one rule: ids count from 0 in the order of the list, colours come from
:func:`~deeplab_core.catalogs.colors.class_colors`. What names mean is one rule for all lists, too:
:func:`~deeplab_core.catalogs.catalog.listed_catalog`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo, Color, is_void, listed_catalog, parse_color
from deeplab_core.catalogs.colors import class_colors
from deeplab_core.errors import CatalogError, message
from deeplab_core.markup import Element, parse_xml
from deeplab_core.reading import read_bytes, read_text, shorten
from deeplab_core.wording import name_some

#: labelme's name for pixels that no figure counts (``examples/semantic_segmentation/labels.txt`` of labelme).
IGNORE_NAME = "__ignore__"

#: Largest XML file that may name classes, in bytes: CVAT's holds all shapes, too.
_MOST_MARKUP = 256 << 20
#: Most classes of a list: ids of wide masks end at 65534.
_MOST = 65_534
#: Class names in the title of a catalog of typed names.
_TITLED = 3
#: What a line that is no class begins with in a text file: ``# `` with the space, because a class may be called ``#1``.
_REMARK = "# "
_LABELMAP_HEAD = "# label:color_rgb:parts:actions"
#: A remark for other programs; without it the ids of a ``labelmap.txt`` count from 0 in the order of the lines.
_LABELMAP_IDS = "# ids:"
_LABELMAP_LINE = re.compile(r"[^#:][^:]*:(?:\s*\d{1,3}(?:\s*,\s*\d{1,3}){2}\s*(?::[^:]*:[^:]*)?|:[^:]*:[^:]*)")
_COLOR_LINE = re.compile(r"(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\S.*)")
_FORM = message(
    "Give one class name for each line (labelme), 'name:r,g,b::' lines (CVAT labelmap.txt), 'names:' (YOLO), 'categories' "
    "(COCO), 'classes' (Atrous, Supervisely), '_classes.csv' (Roboflow), or a list of names"
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A class as a list has it; ``number`` and ``color`` are None where the list does not say."""

    name: str
    number: int | None = None
    color: Color | None = None
    key: str = ""


def read_text_list(path: Path) -> ClassCatalog:
    """A catalog from a ``.txt`` file: CVAT's ``labelmap.txt``, CamVid's ``label_colors.txt``, or one name for each line.

    Raises:
        CatalogError: the file cannot be read, holds no class, or a line is not like the others; names the line.
    """
    text = read_text(path, what="the class list", error=CatalogError)
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in numbered if line and not line.startswith(_REMARK)]
    if any(line.lower().startswith("# label:") for _, line in numbered) or (
        lines and all(_LABELMAP_LINE.fullmatch(line) for _, line in lines)
    ):
        return parse_labelmap(text, path).catalog
    if lines and all(_COLOR_LINE.fullmatch(line) for _, line in lines):
        return _table(path, [_color_entry(line, number, path) for number, line in lines]).catalog
    return _catalog(path, [_Entry(line) for _, line in lines])


def count_remarks(path: Path) -> int:
    """Lines of a list of names alone that are read as remarks and not as classes; 0 for tables with colours.

    Raises:
        CatalogError: the file cannot be read.
    """
    lines = [line.strip() for line in read_text(path, what="the class list", error=CatalogError).splitlines()]
    table = any(_LABELMAP_LINE.fullmatch(line) or _COLOR_LINE.fullmatch(line) for line in lines)
    return 0 if table else sum(line.startswith(_REMARK) for line in lines)


@dataclass(frozen=True, slots=True)
class Labelmap:
    """What a ``labelmap.txt`` says.

    Attributes:
        catalog: the classes.
        void: the value of void in files without colours, None where the table does not name void.
        numbered: whether the file gives the ids; else they are positions.
    """

    catalog: ClassCatalog
    void: int | None
    numbered: bool


def parse_labelmap(text: str, path: Path) -> Labelmap:
    """CVAT's and VOC's ``labelmap.txt``: ``name:red,green,blue:parts:actions`` lines, with the ids where Atrous wrote it.

    A line ``void`` gives the colour of void, and is not a class. Raises CatalogError, which names the line.
    """
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    rows = [_labelmap_entry(line, number, path) for number, line in numbered if line and not line.startswith("#")]
    given = next((line.removeprefix(_LABELMAP_IDS) for _, line in numbered if line.startswith(_LABELMAP_IDS)), None)
    if given is None:
        return _table(path, rows)
    try:
        ids = [int(part) for part in given.split(",")]
    except ValueError:
        ids = []
    if len(ids) != len(rows):
        raise _not_a_list(path, message("Its line of ids does not fit its {count} classes", count=len(rows)))
    return _table(path, [_Entry(row.name, number, row.color) for row, number in zip(rows, ids, strict=True)], numbered=True)


def _table(path: Path, rows: Sequence[_Entry], *, numbered: bool = False) -> Labelmap:
    """The catalog of a table of colours."""
    places = [_Entry(row.name, place if row.number is None else row.number, row.color) for place, row in enumerate(rows)]
    void = next((row for row in places if is_void(row.name)), None)
    catalog = _catalog(path, [row for row in places if not is_void(row.name)])
    if void is not None and void.color is not None:
        catalog = replace(catalog, ignore_color=void.color)
    return Labelmap(catalog, None if void is None else void.number, numbered)


def read_csv_list(path: Path) -> ClassCatalog:
    """A catalog from Roboflow's ``_classes.csv``: columns ``Pixel Value`` and ``Class``. Raises CatalogError."""
    text = read_text(path, what="the class list", error=CatalogError)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    except csv.Error as problem:
        raise _not_a_list(path, message("It is not a table: {problem}", problem=problem)) from problem
    head = [cell.lower() for cell in rows[0]] if rows else []
    if head != ["pixel value", "class"]:
        raise _not_a_list(path, message("Its first line does not name the columns Pixel Value and Class"))
    entries = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != 2 or not row[0].isdecimal():
            raise _not_a_list(path, message("Row {number} reads {row}", number=number, row=shorten(",".join(row))))
        entries.append(_Entry(row[1], int(row[0])))
    return _catalog(path, entries)


def read_markup_list(path: Path) -> ClassCatalog:
    """A catalog from XML: the labelling configuration of a Label Studio project, or the labels of CVAT's ``annotations.xml``.

    Of several controls of a configuration, all labels count, each once. Raises CatalogError.
    """
    data = read_bytes(path, limit=_MOST_MARKUP, what="the class list", error=CatalogError)
    root = parse_xml(data, path=path, what="the class list", error=CatalogError)
    rows = [_studio_label(label, path) for label in _within(root, lambda element: element.tag == "Label")]
    if not rows:
        found = [label for labels in _within(root, lambda element: element.tag == "labels") for label in labels.all("label")]
        rows = [_cvat_label(label, path) for label in found]
    if not rows:
        raise _not_a_list(path, message("It has no label of Label Studio or CVAT"))
    unique: dict[str, _Entry] = {}
    for row in rows:
        unique.setdefault(row.name, row)
    return _catalog(path, list(unique.values()))


def _within(element: Element, wanted: Callable[[Element], bool]) -> Iterator[Element]:
    """An element and those below it that are wanted, in the order of the document; what is below a wanted one is left out."""
    if wanted(element):
        yield element
        return
    for child in element.children:
        yield from _within(child, wanted)


def _studio_label(label: Element, path: Path) -> _Entry:
    key = label.attributes.get("hotkey", "").strip()
    color = _css_color(label.attributes.get("background", ""))
    return _Entry(_name(label.attributes.get("value"), path), None, color, key if len(key) == 1 else "")


def _cvat_label(label: Element, path: Path) -> _Entry:
    texts = {tag: child.text.strip() for tag in ("name", "color") for child in label.all(tag)}
    return _Entry(_name(texts.get("name"), path), None, _css_color(texts.get("color", "")))


def _css_color(text: str) -> Color | None:
    """A colour as style sheets write it (names, ``#f00``, ``rgba(255, 0, 0, 0.7)``); None for what is none."""
    from PIL import ImageColor

    opaque = re.sub(r"^rgba\((.*),[^,]*\)$", r"rgb(\1)", text.strip().lower())
    try:
        red, green, blue, *_ = ImageColor.getrgb(opaque)
    except ValueError:
        return None
    return red, green, blue


def read_values(data: object, path: Path) -> ClassCatalog | None:
    """A catalog from the values of a JSON or YAML file that another program wrote; None if they have none of the known forms.

    Known: a list of names; YOLO's ``names`` (list or number -> name); COCO's ``categories``; Supervisely's ``classes`` with a
    ``title``; ISAT's ``label``; labelme's ``labels`` of its settings.

    Raises:
        CatalogError: one of these forms with values that do not fit it.
    """
    if isinstance(data, list):
        return _catalog(path, _named(data, path)) if data and all(isinstance(row, str) for row in data) else None
    if not isinstance(data, dict):
        return None
    names = data.get("names")
    if isinstance(names, dict | list):
        return _catalog(path, _yolo(names, path))
    if isinstance(data.get("categories"), list):
        return _catalog(path, [_coco(row, path) for row in data["categories"]])
    classes = data.get("classes")
    if isinstance(classes, list) and classes and all(isinstance(row, dict) and "title" in row for row in classes):
        return _catalog(path, [_Entry(_name(row["title"], path), None, _color(row.get("color"), str, path)) for row in classes])
    if isinstance(data.get("label"), list):
        rows = [row if isinstance(row, dict) else {"name": row} for row in data["label"]]
        return _catalog(path, [_Entry(_name(row.get("name"), path), None, _color(row.get("color"), str, path)) for row in rows])
    if isinstance(data.get("labels"), list):
        return _catalog(path, _named(data["labels"], path))
    return None


def _labelmap_entry(line: str, number: int, path: Path) -> _Entry:
    # Names may hold colons; parts and actions are often left out.
    name, *rest = line.rsplit(":", 3) if line.count(":") >= 3 else line.split(":")
    color = rest[0].strip() if rest else "?"
    if not name.strip() or (color and not re.fullmatch(r"\d{1,3}(?:\s*,\s*\d{1,3}){2}", color)):
        why = message("Line {number} reads {line}, not 'name:red,green,blue:parts:actions'", number=number, line=shorten(line))
        raise _not_a_list(path, why)
    return _Entry(name.strip(), None, _rgb(color.split(","), number, path) if color else None)


def _color_entry(line: str, number: int, path: Path) -> _Entry:
    found = _COLOR_LINE.fullmatch(line)
    assert found is not None
    return _Entry(found[4].strip(), None, _rgb(found.groups()[:3], number, path))


def _rgb(parts: Iterable[str], number: int, path: Path) -> Color:
    red, green, blue = (int(part) for part in parts)
    if max(red, green, blue) > 255:
        raise _not_a_list(
            path, message("Line {number}: {red},{green},{blue} is not a colour", number=number, red=red, green=green, blue=blue)
        )
    return red, green, blue


def _named(rows: Iterable[object], path: Path) -> list[_Entry]:
    return [_Entry(_name(row, path)) for row in rows]


def _yolo(names: dict[Any, Any] | list[Any], path: Path) -> list[_Entry]:
    if isinstance(names, list):
        return _named(names, path)
    try:
        return [_Entry(_name(name, path), int(number)) for number, name in names.items()]
    except (TypeError, ValueError) as problem:
        raise _not_a_list(path, message("'names' has a key that is not a whole number")) from problem


def _coco(row: object, path: Path) -> _Entry:
    if not isinstance(row, dict):
        raise _not_a_list(path, message("A category reads {row}", row=shorten(row)))
    number = row.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise _not_a_list(path, message("The id of category {name} is not a whole number", name=shorten(row.get("name"))))
    return _Entry(_name(row.get("name"), path), number, _color(row.get("color"), list, path))


def _color(value: object, kind: type, path: Path) -> Color | None:
    """A colour of a list: a text for ``str``, three numbers for ``list``; None if there is no value."""
    if value is None or (kind is str and value == ""):
        return None
    try:
        if not isinstance(value, kind):
            raise TypeError(value)
        return parse_color(value)
    except (TypeError, ValueError) as problem:
        like = message(" like '#c02040'") if kind is str else ""
        raise _not_a_list(path, message("{value} is not a colour{like}", value=shorten(value), like=like)) from problem


def _name(value: object, path: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise _not_a_list(path, message("A class name reads {value}", value=shorten(value)))
    return str(value).strip()


def _catalog(path: Path, entries: list[_Entry]) -> ClassCatalog:
    """The catalog of a list. Raises CatalogError if it is empty, too long, or uses a name or an id twice."""
    # labelme numbers its classes from the first one behind __ignore__, which is -1; other names of void have a number.
    entries = [entry for entry in entries if entry.name != IGNORE_NAME or entry.number is not None]
    if all(is_void(entry.name) for entry in entries):
        raise _not_a_list(path, message("It has no classes"))
    if len(entries) > _MOST:
        raise _not_a_list(path, message("It has {count:,} classes; masks can hold {most:,}", count=len(entries), most=_MOST))
    colors = class_colors([(entry.name, entry.color) for entry in entries])
    rows = [
        ClassInfo(place if entry.number is None else entry.number, entry.name, color, entry.key)
        for place, (entry, color) in enumerate(zip(entries, colors, strict=True))
    ]
    try:
        return listed_catalog(path.stem, rows)
    except CatalogError as error:
        raise CatalogError(error.what, why=error.why, remedy=error.remedy or _FORM, path=path) from error


def _not_a_list(path: Path, why: str) -> CatalogError:
    return CatalogError(message("not a class list"), why=why, remedy=_FORM, path=path)


# -- writing ---------------------------------------------------------------------------------------------------------------


def _labels(catalog: ClassCatalog) -> str:
    return "".join(f"{name}\n" for name in (IGNORE_NAME, *catalog.names))


def labelmap_text(rows: Iterable[tuple[str, Color]], ids: Sequence[int] = ()) -> str:
    """``labelmap.txt`` as CVAT and Datumaro read it: name, colour, parts, actions.

    Args:
        rows: the classes.
        ids: of the rows, where they are not their positions: a remark that :func:`parse_labelmap` reads.
    """
    remark = [_LABELMAP_IDS + ",".join(map(str, ids))] if ids else []
    return "\n".join([_LABELMAP_HEAD, *remark, *(f"{name}:{','.join(map(str, color))}::" for name, color in rows)]) + "\n"


def _labelmap(catalog: ClassCatalog) -> str:
    return labelmap_text((info.name, info.color) for info in catalog.classes)


def _names_yaml(catalog: ClassCatalog) -> str:
    import yaml

    text: str = yaml.safe_dump({"names": {info.id: info.name for info in catalog.classes}}, allow_unicode=True, sort_keys=False)
    return text


def _categories(catalog: ClassCatalog) -> str:
    rows = [{"id": info.id, "name": info.name, "supercategory": "", "color": list(info.color)} for info in catalog.classes]
    return json.dumps({"categories": rows}, ensure_ascii=False, indent=2) + "\n"


def _classes_csv(catalog: ClassCatalog) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["Pixel Value", "Class"])
    writer.writerows((info.id, info.name) for info in catalog.classes)
    return stream.getvalue()


def _studio(catalog: ClassCatalog) -> str:
    from xml.sax.saxutils import quoteattr

    rows = []
    for info in catalog.classes:
        key = f" hotkey={quoteattr(info.key)}" if info.key else ""
        red, green, blue = info.color
        rows.append(f'    <Label value={quoteattr(info.name)} background="#{red:02x}{green:02x}{blue:02x}"{key}/>')
    head = ["<View>", '  <Image name="image" value="$image" zoom="true"/>', '  <BrushLabels name="tag" toName="image">']
    return "\n".join([*head, *rows, "  </BrushLabels>", "</View>"]) + "\n"


@dataclass(frozen=True, slots=True)
class ListFormat:
    """A form in which a catalog is written for another program.

    Attributes:
        key: name on the command line.
        title: the program and its file.
        suffixes: endings of the file, the usual one first.
        keeps: what the form holds besides names: ``"ids"``, ``"colours"``.
        text: the file's content.
    """

    key: str
    title: str
    suffixes: tuple[str, ...]
    keeps: frozenset[str]
    text: Callable[[ClassCatalog], str]


#: Every form that :func:`list_text` writes; ``save_catalog`` writes our own JSON and YAML.
LIST_FORMATS: Mapping[str, ListFormat] = {
    form.key: form
    for form in (
        ListFormat("labelme", "labelme labels.txt", (".txt",), frozenset(), _labels),
        ListFormat("cvat", "CVAT and VOC labelmap.txt", (".txt",), frozenset({"colours"}), _labelmap),
        ListFormat("yolo", "YOLO names.yaml", (".yaml", ".yml"), frozenset({"ids"}), _names_yaml),
        ListFormat("coco", "COCO categories", (".json",), frozenset({"ids", "colours"}), _categories),
        ListFormat("labelstudio", "Label Studio configuration", (".xml",), frozenset({"colours"}), _studio),
        ListFormat("roboflow", "Roboflow _classes.csv", (".csv",), frozenset({"ids"}), _classes_csv),
    )
}


def list_text(catalog: ClassCatalog, key: str) -> str:
    """A catalog as a class list of another program, by the key of :data:`LIST_FORMATS`.

    Raises:
        CatalogError: the form cannot hold it: it numbers classes by their order and the ids have gaps, or a name contains what
            separates the entries.
    """
    form = LIST_FORMATS[key]
    if "ids" not in form.keeps and [info.id for info in catalog.classes] != list(range(len(catalog))):
        with_ids = ", ".join(sorted(other.key for other in LIST_FORMATS.values() if "ids" in other.keeps))
        raise CatalogError(
            message("'{catalog}' cannot be written as {format}", catalog=catalog.name, format=form.title),
            why=message("It numbers classes by their order, and the ids of this catalog have gaps or another order"),
            remedy=message("Choose a form that keeps ids: {formats}", formats=with_ids),
        )
    for name in catalog.names:
        if is_void(name):
            raise CatalogError(
                message("'{name}' cannot be written as {form}", name=catalog.name, form=form.title),
                why=message("A class '{name}' means void there", name=name),
                remedy=message("Rename the class, or choose another form"),
            )
        remark = name.startswith("#" if key == "cvat" else _REMARK) and ".txt" in form.suffixes
        if name != name.strip() or "\n" in name or "\r" in name or remark or (key == "cvat" and ":" in name):
            raise CatalogError(
                message("'{catalog}' cannot be written as {format}", catalog=catalog.name, format=form.title),
                why=message("The class name {name} contains what separates entries there", name=shorten(name)),
                remedy=message("Rename the class, or choose another form"),
            )
    return form.text(catalog)


def named_catalog(names: Iterable[str], name: str) -> ClassCatalog:
    """A catalog of class names that the user typed: ids in their order, colours that are easy to tell apart.

    Args:
        names: of the classes; empty ones and names of void are left out (every project has void), and one that means the
            background becomes the catalog's.
        name: of the catalog; its title are the first class names.

    Raises:
        CatalogError: no name is left, or one occurs twice.
    """
    wanted = [" ".join(part.split()) for part in names]
    try:
        found = _catalog(Path(name), [_Entry(part) for part in wanted if part and not is_void(part)])
        return replace(found, title=str(name_some(found.names, _TITLED)))
    except CatalogError as error:
        remedy = message("Give each class a name of its own, with commas between them")
        raise CatalogError(message("these names are not a class list"), why=error.why or error.what, remedy=remedy) from error
