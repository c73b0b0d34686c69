"""Texts of the window: translation, plurals, numbers as users read and type them. No Qt.

Source texts are English, with named placeholders: ``tr("{name} was saved", name=path.name)``. ``make translations`` collects
every literal argument of :func:`tr`, :func:`plural`, :func:`mark` and of :func:`deeplab_core.errors.message` and its plural with
``pyside6-lupdate``. The window points :func:`use_translator` at Qt; without it, and for a text that no translation has, the
English text is shown.
"""

from __future__ import annotations

import logging
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isnan

from deeplab_core.errors import AtrousError, MessageText, error_text, fill
from deeplab_core.printable import one_line, printable
from deeplab_core.wording import count

_log = logging.getLogger(__name__)

#: Text, its English plural or "", and the number that chooses the plural or -1 -> the translation, or the text itself.
Translator = Callable[[str, str, int], str]

#: Halves of surrogate pairs: Python keeps bytes of file names that are not UTF-8 as these.
_HALVES = re.compile("[\ud800-\udfff]")
#: Decimal separators on some keyboards: comma, Arabic, Chinese and Japanese full width.
_DECIMAL = dict.fromkeys(map(ord, ",\u066b\uff0e\uff0c"), ".")
_MINUS = dict.fromkeys(map(ord, "\u2212\uff0d"), "-")


@dataclass(frozen=True, slots=True)
class NumberSigns:
    """How a language writes numbers in texts. Files and fields that are typed into always have a dot and no groups.

    Attributes:
        group: between groups of three digits.
        decimal: before decimals.
    """

    group: str = "\u202f"
    decimal: str = "."


_translate: Translator | None = None
_finish: Callable[[str], str] | None = None
_signs = NumberSigns()


def use_translator(
    translate: Translator | None, *, finish: Callable[[str], str] | None = None, signs: NumberSigns = NumberSigns()
) -> None:
    """Translate every text that is made from now on; None returns to English.

    Args:
        finish: changes a translated text once its values are there; a language may need that for its grammar.
        signs: of numbers.
    """
    global _translate, _finish, _signs
    _translate, _finish, _signs = translate, finish, signs


def mark(text: str) -> str:
    """The text itself, collected for translation: for tables that are made before the language is known. Show it with ``tr``."""
    return text


def tr(text: str, /, **values: object) -> str:
    """A text in the language of the window.

    Args:
        text: English, a literal where it is written; ``{name}`` is replaced by the value of that name. A text of
            :func:`deeplab_core.errors.message` brings its own values.
        values: as :meth:`str.format` takes them; errors and texts of ``message`` among them are translated too.
    """
    template = text.template if isinstance(text, MessageText) else text
    known = text.values if isinstance(text, MessageText) else {}
    if isinstance(text, MessageText) and text.many:
        return plural(template, text.many, text.number, **{**known, **values})
    return _filled(_translated(template, "", -1), template, {**known, **values})


def plural(one: str, many: str, number: int, /, **values: object) -> str:
    """The text for one thing or for several: ``plural("{n} image", "{n} images", 12)``; ``{n}`` is the number in groups.

    A translation has the forms of its own language. English takes ``one`` for the number 1.
    """
    values = {"n": spaced(number), **values}
    translated = _translated(one, many, number)
    source = one if number == 1 else many
    return _filled(source if translated == one else translated, source, values)


class _Shown(str):
    """A translated text, with the English one for logs."""

    english: str
    __slots__ = ("english",)


def english(text: str) -> str:
    """The English text behind one of :func:`tr` or :func:`plural`, for logs; any other text as it is."""
    return text.english if isinstance(text, _Shown) else text


def joined(separator: str, texts: Iterable[str]) -> str:
    """Texts in a row, as :meth:`str.join` has them; :func:`english` knows what they were."""
    return _both(separator.join, list(texts))


def _both(change: Callable[[list[str]], str], texts: list[str]) -> str:
    """A text made of others, and in the same way the English one behind it."""
    shown = change(texts)
    if not any(isinstance(text, _Shown) for text in texts):
        return shown
    made = _Shown(shown)
    made.english = change([english(text) for text in texts])
    return made


def _translated(text: str, many: str, number: int) -> str:
    return text if _translate is None else _translate(text, many, number)


def _filled(template: str, source: str, values: Mapping[str, object]) -> str:
    texts = {name: error_text(value) if isinstance(value, AtrousError) else value for name, value in values.items()}
    translated = {name: tr(value) if isinstance(value, MessageText) else value for name, value in texts.items()}
    try:
        shown = _fill_local(template, translated)
    except (LookupError, ValueError, AttributeError) as error:
        if template == source:
            raise
        _log.warning("a translation has wrong placeholders (%s): %r for %r", error, template, source)
        shown = _fill_local(source, translated)
    if _translate is None:
        return shown
    text = _Shown(shown if _finish is None else _finish(shown))
    text.english = fill(source, {name: english(value) if isinstance(value, str) else value for name, value in translated.items()})
    return text


class _LocalNumbers(string.Formatter):
    """Fractions in a template, such as ``{seconds:.1f}``, have the decimal sign of the language."""

    def format_field(self, value: object, format_spec: str) -> str:
        text = str(super().format_field(value, format_spec))
        return _decimal(text) if isinstance(value, float) else text


def _fill_local(template: str, values: Mapping[str, object]) -> str:
    return _LocalNumbers().vformat(template, (), values) if values else fill(template, values)


def error_title(error: AtrousError) -> str:
    """What happened, as a headline: the name of the file if there is one, else a capital letter."""
    what = tr(error.what)
    return what[:1].upper() + what[1:] if error.path is None else f"{one_line(error.path.name)}: {what}"


def sentence(text: str) -> str:
    """A clause or message in the language of the window, as a sentence: with a capital letter and a full stop."""
    return _both(lambda texts: f"{texts[0][:1].upper()}{texts[0][1:].rstrip('.')}.", [tr(text)])


def error_detail(error: AtrousError) -> str:
    """Cause and remedy of an error as sentences."""
    return " ".join(tr(part).rstrip(".") + "." for part in (error.why, error.remedy) if part)


def error_sentences(error: BaseException) -> str:
    """All that an error says, in the language of the window: for a tooltip, a row of a list or a line of a panel."""
    shown = tr(error_text(error))
    return shown if isinstance(error, AtrousError) and error.path is not None else shown[:1].upper() + shown[1:]


def spaced(number: int) -> str:
    """A whole number in groups of three: ``12 400`` with narrow spaces in English, which end no line, ``12,400`` in Korean."""
    return f"{number:,}".replace(",", _signs.group)


#: What the three functions below are, for tooltips.
FIGURES_RULE = mark("IoU, accuracy and shares are per cent, changes are percentage points")


def percent(value: float | None) -> str:
    """A score of 0..1 in per cent without the sign: ``37.1``; a dash for None or nan."""
    return "–" if value is None or isnan(value) else _decimal(f"{100 * value:.1f}")


def share_text(value: float | None) -> str:
    """A share of 0..1 in per cent: ``38.7 %``; a dash for None or nan."""
    return "–" if value is None or isnan(value) else f"{_decimal(f'{100 * value:.1f}')} %"


def points(change: float) -> str:
    """A difference of two scores of 0..1 in percentage points: ``+21.2``, ``−0.4``, ``0.0``."""
    shown = round(100 * change, 1)
    return _decimal("0.0" if not shown else f"{shown:+.1f}".replace("-", "\u2212"))


def _decimal(number: str) -> str:
    return number.replace(".", _signs.decimal)


def counted(number: int, thing: str, things: str = "") -> str:
    """A number of things in English, for the command line: ``"1 image"``, ``"12 images"``. Windows use :func:`plural`."""
    return count(number, thing, things, gap="\u202f")


def waiting_text(images: int) -> str:
    """The summary of results that are kept as suggestions, beside the user's own work."""
    return plural(
        "{n} is kept as a suggestion because you have edited its image",
        "{n} are kept as suggestions because you have edited their images",
        images,
    )


def displayed(name: str) -> str:
    """The name of a file, folder or class as a window can show it, in one line; other texts are for :func:`displayed_lines`."""
    return name if name.isprintable() else displayed_lines(one_line(name))


def displayed_lines(text: str) -> str:
    """A text as a window can show it.

    Bytes of a file name that are not UTF-8 become the replacement character: Qt drops them silently. Control characters, which Qt
    hides or obeys (text from right to left), become escapes. Names themselves are never changed: keep what you show apart from
    what you open.
    """
    return printable(_HALVES.sub("\ufffd", text))


def plain_number(text: str) -> str:
    """The same text in ASCII digits and with a decimal dot, of the same length; other characters stay.

    Eastern Arabic, Persian, Devanagari and full-width digits become 0..9.
    """
    translated = text.translate(_DECIMAL | _MINUS)
    return "".join(char if char.isascii() else str(unicodedata.decimal(char, char)) for char in translated)


def read_number(text: str) -> float:
    """A number from ``0.5``, ``0,5`` or ``٠٫٥``, the same in every language of the desktop.

    A dot or a comma is the decimal separator and thousands have none: a number with two separators is refused, and ``1,234`` is
    a little more than one. Raises ValueError that names the fault.
    """
    plain = plain_number(text.strip())
    if plain.count(".") > 1 or "_" in plain or any(char.isspace() for char in plain):
        raise ValueError(f"'{text}' is not a number; leave out what separates thousands")
    try:
        return float(plain)
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None


def read_numbers(text: str) -> list[float]:
    """A list such as ``0.5,1,1.5``; with decimal commas its parts are separated by spaces or semicolons: ``0,5; 1; 1,5``.

    Raises ValueError like :func:`read_number`.
    """
    words = text.replace(";", " ").split()
    parts = words if ";" in text or len(words) > 1 else text.strip().split(",")
    return [read_number(part.strip(",") if len(words) > 1 else part) for part in parts]
