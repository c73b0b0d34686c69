"""The one tree of errors. Every error names what happened, why, and what to do about it.

::

    AtrousError
    ├── ImageReadError        an image file cannot be decoded
    ├── ImageFailed           an unexpected failure of one image; the others are not affected
    ├── MaskFormatError       a mask or truth file does not hold what its catalog declares
    │   ├── AmbiguousTruthError   several folders may be the ground truth, or the only one may hold predictions
    │   ├── AmbiguousFrameError   a mask fits the image as stored and as displayed, and nothing determines which is meant
    │   └── PredictedTruthError   a folder named as ground truth holds predictions that Atrous wrote
    ├── CatalogError          a catalog file is wrong, or two catalogs do not fit
    ├── WeightsError          a checkpoint cannot be used
    │   ├── UnknownCheckpoint     no known family fits the keys
    │   └── UnsafeCheckpoint      the file asks to run code, or hides files outside its archive
    ├── DeviceError           the asked-for device is not there
    ├── DeviceOutOfMemory     the device ran out of memory even with the smallest tile
    ├── Cancelled             the user (or a newer request) cancelled the work
    ├── ProjectError          project data is corrupt or of a newer version
    │   └── ProjectLocked         another window holds the project
    ├── DataFileError         a JSON, YAML or TOML file cannot be read, or does not hold what is expected
    ├── LabelSourceError      labels of another program cannot be recognised, read or mapped
    │   └── UnmappedClasses       classes of a source have no partner in the project, and the user has not said what they become
    ├── StorageError          full disk, read-only folder, a file that cannot be written
    │   └── ProtectedFile         a photograph, an image of an open folder or a link would be replaced
    ├── DownloadError         a file cannot be fetched, or is not what was published
    ├── ExportError           an export could not be written, or did not read back equal
    └── ComputeError          the compute process died, or answered something unusable

Handled errors travel between processes as plain dictionaries (:meth:`AtrousError.to_dict`); anything else is a bug and is
reported with its traceback.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from pathlib import Path, PurePath
from typing import Any, SupportsIndex

from deeplab_core.printable import one_line

_log = logging.getLogger(__name__)

#: Values of a message: what a pipe carries and a format specification accepts.
_Plain = str | int | float


class MessageText(str):
    """An English text that keeps the template and the values it was made of, so that a window can translate it.

    Attributes:
        template: the text with ``{name}`` placeholders, as :meth:`str.format` takes them; that for one thing, if it counts.
        values: the placeholders' values: texts, numbers and other messages.
        many: the text for several things, or empty: the text counts nothing.
        number: how many things, at least 0; the placeholder ``{n}``. -1 if the text counts nothing.
    """

    template: str
    values: Mapping[str, _Plain]
    many: str
    number: int
    __slots__ = ("many", "number", "template", "values")

    def __new__(cls, template: str, values: Mapping[str, object], many: str = "", number: int = -1) -> MessageText:
        plain = {name: _plain(value) for name, value in values.items()}
        shown = {"n": f"{number:,}", **plain} if many else plain
        text = super().__new__(cls, fill(many if many and number != 1 else template, shown))
        text.template = template
        text.values = plain
        text.many = many
        text.number = number
        return text

    def to_dict(self) -> dict[str, Any]:
        """Template and values as plain values."""
        values = {name: value.to_dict() if isinstance(value, MessageText) else value for name, value in self.values.items()}
        counted = {"many": self.many, "number": self.number} if self.many else {}
        return {"template": self.template, "values": values, **counted}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> MessageText:
        """Rebuild a text from :meth:`to_dict`. Raises what wrong types raise."""
        values = data["values"].items()
        made = {name: MessageText.from_dict(value) if isinstance(value, Mapping) else value for name, value in values}
        return MessageText(str(data["template"]), made, str(data.get("many", "")), operator.index(data.get("number", -1)))

    def __reduce__(self) -> tuple[Any, ...]:
        return MessageText, (self.template, dict(self.values), self.many, self.number)


def message(template: str, /, **values: object) -> MessageText:
    """A text for an error: English with ``{name}`` placeholders, a literal where it is written, so that it can be collected.

    Values that are neither texts nor numbers become texts, errors as :func:`error_text` has them.
    """
    return MessageText(template, values)


def plural_message(one: str, many: str, number: int, /, **values: object) -> MessageText:
    """A text about a number of things, as a value of :func:`message` or by itself: ``("{n} image", "{n} images", 1200)``.

    English takes ``one`` for the number 1; a translation has the forms of its own language.

    Args:
        one, many: literals; ``{n}`` is the number in groups of three digits.
        number: at least 0.
        values: of further placeholders.
    """
    return MessageText(one, values, many, int(number))


def join_messages(parts: Iterable[str], separator: str = " ") -> MessageText:
    """Texts in a row, empty ones left out; each is translated by itself."""
    named = {f"part{place}": part for place, part in enumerate(part for part in parts if part)}
    return MessageText(separator.replace("{", "{{").replace("}", "}}").join(f"{{{name}}}" for name in named), named)


def error_text(error: BaseException) -> MessageText:
    """An error as sentences: file, what happened, why and what to do, each with its template, so that a window can translate it.

    What the command line does (:attr:`AtrousError.option`) is left out: a window shows this text, and a project keeps it. An
    error that is not a :class:`AtrousError` gives its own words, or the name of its class if it has none.
    """
    if not isinstance(error, AtrousError):
        return MessageText(str(error) or type(error).__name__, {})
    # A message without values comes as a plain text from another process; its text is its template.
    texts = (text if isinstance(text, MessageText) else MessageText(text, {}) for text in (error.what, error.why, error.remedy))
    what, *rest = texts
    head = what if error.path is None else message("{path}: {what}", path=error.path, what=what)
    parts = (part for part in (head, *rest) if part)
    return join_messages(part if part.endswith(".") else message("{text}.", text=part) for part in parts)


def fill(template: str, values: Mapping[str, object]) -> str:
    """A template with its values in; without values the template itself, braces and all."""
    return template.format(**values) if values else template


def _plain(value: object) -> _Plain:
    if isinstance(value, AtrousError):
        return error_text(value)
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, SupportsIndex):
        return operator.index(value)
    if isinstance(value, PurePath):
        return one_line(value)
    return float(value) if isinstance(value, Real) else str(value)


class AtrousError(Exception):
    """Base of every error that is meant for users.

    Args:
        what: one clause on what happened, without a full stop.
        why: the cause as far as it is known.
        remedy: what the user can do now.
        path: the file that is concerned.
        option: how the command line does that, behind a colon there; a window has other ways and does not show it.

    Texts of :func:`message` keep their templates and values, also on the way between processes: the window shows them in its
    language, the command line and logs in English.
    """

    def __init__(self, what: str, *, why: str = "", remedy: str = "", path: Path | str | None = None, option: str = "") -> None:
        self.what = what
        self.why = why
        self.remedy = remedy
        self.option = option
        self.path = Path(path) if path is not None else None
        super().__init__(what)

    def __str__(self) -> str:
        head = f"{one_line(self.path)}: {self.what}" if self.path is not None else self.what
        remedy = ": ".join(part for part in (self.remedy.rstrip("."), self.option) if part)
        return " ".join(part.rstrip(".") + "." for part in (head, self.why, remedy) if part)

    def to_dict(self) -> dict[str, Any]:
        """The error as plain values, for a pipe or a log; ``templates`` has those of its texts that are messages."""
        texts = {"what": self.what, "why": self.why, "remedy": self.remedy}
        if self.option:
            texts["option"] = self.option
        templates = {
            key: text.to_dict() for key, text in texts.items() if isinstance(text, MessageText) and (text.values or text.many)
        }
        return {
            "kind": type(self).__name__,
            **{key: str(text) for key, text in texts.items()},
            "path": None if self.path is None else str(self.path),
            **({"templates": templates} if templates else {}),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> AtrousError:
        """Rebuild an error from :meth:`to_dict`; an unknown kind becomes a plain :class:`AtrousError`."""
        kind = _KINDS.get(str(data.get("kind")), AtrousError)
        templates = data.get("templates", {})
        texts = {key: str(data.get(key, "")) for key in ("what", "why", "remedy", "option")}
        what, why, remedy, option = (MessageText.from_dict(templates[key]) if key in templates else texts[key] for key in texts)
        found = kind(what, why=why, remedy=remedy, path=data.get("path"))
        found.option = option
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return AtrousError.from_dict, (self.to_dict(),)


def alike(failures: Iterable[tuple[str, AtrousError]]) -> list[tuple[AtrousError, tuple[str, ...]]]:
    """Failures by what they say: the first error of each kind, and the names that it is about.

    Errors that say the same of other files, with other numbers, are of one kind.
    """
    groups: dict[tuple[object, ...], tuple[AtrousError, list[str]]] = {}
    for name, error in failures:
        kind = (type(error), *(getattr(text, "template", text) for text in (error.what, error.why, error.remedy)))
        groups.setdefault(kind, (error, []))[1].append(name)
    return [(error, tuple(names)) for error, names in groups.values()]


class ImageReadError(AtrousError):
    """An image file cannot be decoded."""


class ImageFailed(AtrousError):
    """An unexpected failure of one image; see :func:`image_error`."""


class MaskFormatError(AtrousError):
    """A mask or truth file does not hold what its catalog declares."""


class AmbiguousFrameError(MaskFormatError):
    """A mask fits its image as stored and as displayed, and nothing determines which is meant; the user must be asked once."""


class AmbiguousTruthError(MaskFormatError):
    """Several folders may be the ground truth, or the only one may hold predictions; the user must name one."""


class PredictedTruthError(MaskFormatError):
    """A folder named as ground truth holds predictions or refined masks that Atrous wrote; see ``allow_predicted``."""


class CatalogError(AtrousError):
    """A class catalog is wrong, or two catalogs do not fit each other."""


class WeightsError(AtrousError):
    """A checkpoint cannot be used."""


class UnknownCheckpoint(WeightsError):
    """No known family of networks fits the keys of a checkpoint."""


class UnsafeCheckpoint(WeightsError):
    """A checkpoint asks to run code or hides files outside its archive; it was not opened."""


class DeviceError(AtrousError):
    """The asked-for compute device is not there."""


class DeviceOutOfMemory(AtrousError):
    """The device ran out of memory even with the smallest tile."""


class MissingPackage(AtrousError):
    """Something needs a package that is not installed."""


class Cancelled(AtrousError):
    """The work was cancelled by the user or by a newer request."""

    def __init__(self, what: str = "cancelled", *, why: str = "", remedy: str = "", path: Path | str | None = None) -> None:
        super().__init__(what, why=why, remedy=remedy, path=path)


class ProjectError(AtrousError):
    """Project data is corrupt, or was written by a newer version."""


class ProjectLocked(ProjectError):
    """Another window holds the project."""


class StorageError(AtrousError):
    """A file cannot be written: full disk, read-only folder, missing rights."""


class ProtectedFile(StorageError):
    """A photograph, an image of an open folder or a link would have been replaced; it was left as it is."""


class DataFileError(AtrousError):
    """A JSON, YAML or TOML file cannot be read, or does not hold what is expected."""


class LabelSourceError(AtrousError):
    """Labels of another program cannot be recognised, read, or mapped to the project's classes."""


class UnmappedClasses(LabelSourceError):
    """Classes of a source have no partner in the project, and the user has not said what they become."""


class DownloadError(AtrousError):
    """A file cannot be fetched from its server, or what came is not what was published."""


class ExportError(AtrousError):
    """An export could not be written, or did not read back equal."""


class ArrayError(AtrousError, ValueError, TypeError):
    """An array of the caller that does not fit: its axes, numbers or size. Also a ValueError and a TypeError, as numpy raises."""


class ComputeError(AtrousError):
    """The compute process died or answered something unusable."""


def image_error(error: Exception, path: Path | str) -> AtrousError:
    """What happened to one image, as an error that names its file and is not a reason to end a run over others.

    Args:
        error: anything that was raised; what is not a :class:`AtrousError` goes into the log with its traceback.
        path: the image's file, named unless the error names one already.
    """
    if isinstance(error, AtrousError):
        if error.path is None:
            error.path = Path(path)
        return error
    _log.info("%s failed", path, exc_info=error)  # the console of a command shows no tracebacks; the window keeps a log
    if isinstance(error, MemoryError):
        return ImageFailed(
            message("the image does not fit into memory"),
            why=str(error),
            remedy=message("Close other programs, or make it smaller"),
            path=path,
        )
    lines = str(error).strip().splitlines() or [""]
    return ImageFailed(
        message("this image failed"),
        why=message("{kind}: {error}", kind=type(error).__name__, error=lines[0][:300]),
        remedy=message("Other images are not affected; please report it"),
        path=path,
    )


@contextmanager
def one_image(path: Path | str) -> Iterator[None]:
    """What goes wrong inside is the matter of one image.

    Raises:
        AtrousError: as :func:`image_error` makes it of any exception. Cancelled, KeyboardInterrupt and the like pass.
    """
    try:
        yield
    except Cancelled:
        raise
    except Exception as error:
        named = image_error(error, path)
        if named is error:
            raise
        raise named from error


def _tree(cls: type[AtrousError]) -> dict[str, type[AtrousError]]:
    found = {cls.__name__: cls}
    for child in cls.__subclasses__():
        found.update(_tree(child))
    return found


_KINDS = _tree(AtrousError)
