"""Texts in a project's database: English, and behind a separator the template and values that a translation needs.

Programs that know nothing of the part behind show or ignore it; a text without one is shown as it is. A project may come from
someone else: a template is taken only if it gives exactly the English text and asks for nothing but its values.
"""

from __future__ import annotations

import json
import re
from typing import Any

from deeplab_core.errors import MessageText, ProjectError
from deeplab_core.reading import VALUE_ERRORS, parse_json

#: What separates the English text from its template and values, and the most bytes of these.
_BEHIND, _MOST_BEHIND = "\x1e", 4096
_PLAIN_TEMPLATE = re.compile(r"(?:[^{}]|\{\w+\})*")
_STRANGE: tuple[type[Exception], ...] = (ProjectError, *VALUE_ERRORS)
#: Messages in messages: a notice, its reason, the cause of this, and a count in it are four.
_DEEPEST = 6


def stored_text(text: str) -> str:
    """A text as the database keeps it; without what a translation needs if that is longer than 4096 bytes."""
    if not isinstance(text, MessageText) or not (text.values or text.many):
        return str(text)
    behind = json.dumps(text.to_dict(), separators=(",", ":"))
    return f"{text}{_BEHIND}{behind}" if len(behind) <= _MOST_BEHIND else str(text)


def read_text(stored: str) -> MessageText:
    """The inverse of :func:`stored_text`."""
    text, _, behind = stored.partition(_BEHIND)
    if behind:
        try:
            data = parse_json(behind, limit=_MOST_BEHIND, error=ProjectError)
            if _is_plain(data) and (found := MessageText.from_dict(data)) == text:
                return found
        except _STRANGE:
            pass
    return MessageText(text, {})


def _is_plain(data: Any, depth: int = 0) -> bool:
    """Whether templates have nothing but names in braces, each once: no attribute, no format or repetition that grows a text."""
    if not isinstance(data, dict) or depth > _DEEPEST:
        return False
    for template in (str(data["template"]), str(data.get("many", ""))):
        names = template.split("{")[1:]
        if not _PLAIN_TEMPLATE.fullmatch(template) or len({name.partition("}")[0] for name in names}) < len(names):
            return False
    return all(isinstance(value, str | int | float) or _is_plain(value, depth + 1) for value in data["values"].values())
