"""Reading XML: bounded in size, depth and elements, without document types, entities or anything from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from deeplab_core.errors import AtrousError, DataFileError
from deeplab_core.reading import MAX_DEPTH

#: Most elements of a document.
MAX_ELEMENTS = 5_000_000

_REMEDY = "Export it again"


@dataclass(slots=True)
class Element:
    """An element: ``attributes`` by name, ``children`` in order, ``text`` directly within it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list[Element]:
        """Children of a name."""
        return [child for child in self.children if child.tag == tag]

    def first(self, *tags: str) -> Element | None:
        """The first child of a name, then within it the first of the next name, and so on."""
        found: Element | None = self
        for tag in tags:
            found = next(iter(found.all(tag)), None) if found is not None else None
        return found

    def number(self, name: str) -> float:
        """An attribute as a number. Raises KeyError or ValueError."""
        return float(self.attributes[name])


def parse_xml(
    data: bytes, *, path: Path | None = None, what: str = "the file", error: type[AtrousError] = DataFileError
) -> Element:
    """The root element of a document.

    Args:
        data: the whole document.
        path: what errors name.
        what: what the file is, for the message.
        error: kind of the errors.

    Raises:
        AtrousError: of kind ``error``: no XML, a document type or an entity, nested too deeply, or too many elements.
    """
    root = Element("", {})
    open_elements = [root]
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(open_elements) > MAX_DEPTH or count > MAX_ELEMENTS:
            limit = f"{MAX_DEPTH} levels" if len(open_elements) > MAX_DEPTH else f"{MAX_ELEMENTS:,} elements"
            raise _Refused(f"It has more than {limit}")
        element = Element(tag, attributes)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_tag: str) -> None:
        open_elements.pop()

    def characters(text: str) -> None:
        open_elements[-1].text += text

    def refuse(*_: object) -> None:
        raise _Refused("It declares a document type or an entity, which no label file needs")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, characters
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse  # type: ignore[assignment]
    try:
        parser.Parse(data, True)
    except _Refused as problem:
        raise error(f"{what} is not read", why=str(problem), remedy=_REMEDY, path=path) from problem
    except (expat.ExpatError, ValueError, LookupError) as problem:
        raise error(f"{what} is not valid XML", why=str(problem), remedy=_REMEDY, path=path) from problem
    return root.children[0]


class _Refused(Exception):
    """What is never read, in words."""
