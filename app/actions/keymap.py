"""Which keys belong to which command: defaults, the user's overrides, presets. Conflicts are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.actions.spec import ActionSpec
from deeplab_core.errors import AtrousError, message

_MODIFIERS = ("Ctrl", "Alt", "Shift", "Meta")
_ALIASES = {"control": "Ctrl", "ctrl": "Ctrl", "alt": "Alt", "shift": "Shift", "meta": "Meta", "enter": "Enter", "esc": "Escape"}

#: Overrides that make other programs' hands feel at home; each is checked for conflicts by a test.
PRESETS: dict[str, dict[str, tuple[str, ...]]] = {
    "Atrous": {},
    "labelme": {"view.fit": ("Ctrl+F",), "class.find": ("/",), "view.overlay": ("Ctrl+H",)},
    "napari": {
        "tool.brush": ("P",),
        "tool.fill": ("F",),
        "tool.pick": ("L",),
        "tool.polygon": ("Shift+P",),
        "tool.lasso": ("Shift+L",),
        "tool.pan": ("Z",),
        "tool.components": ("Alt+Z",),
        "class.previous": ("-",),
        "class.next": ("=",),
        "class.swap": ("X",),
        "view.fit": ("Ctrl+R",),
        "model.run_image": ("Ctrl+Shift+M",),
    },
    "CVAT": {
        "go.next": ("F", "PgDown"),
        "go.previous": ("D", "PgUp"),
        "view.fit": ("Shift+F",),
        "tool.brush": ("Shift+1",),
        "tool.eraser": ("Shift+2",),
        "tool.polygon": ("Shift+3",),
        "view.overlay": ("H",),
        "ambiguous.mark_error": ("Ctrl+H",),
    },
}


#: Ids of commands in earlier versions, under which a settings file may still keep shortcuts.
FORMER_IDS = {"truth.evaluate_folder": "evaluate.folder"}


class ShortcutConflict(AtrousError):
    """A key is already taken by another command."""


def normalise(shortcut: str) -> str:
    """One spelling for every way to write a key: modifiers in a fixed order, letters upper case.

    Raises ValueError for an empty key or one that has only modifiers.
    """
    text = shortcut.strip()
    if not text:
        raise ValueError("an empty key")
    key = "+" if text == "+" or text.endswith("++") else text.rpartition("+")[2]
    rest = text[: len(text) - len(key)].rstrip("+")
    modifiers = {_ALIASES.get(part.strip().lower(), part.strip()) for part in rest.split("+") if part.strip()}
    unknown = modifiers - set(_MODIFIERS)
    key = key.strip()
    if unknown or not key or _ALIASES.get(key.lower()) in _MODIFIERS:
        raise ValueError(f"'{shortcut}' is not a key")
    key = _ALIASES.get(key.lower(), key)
    if len(key) > 1 or len(key.upper()) == 1:  # the German sharp s has no capital of one letter
        key = key[0].upper() + key[1:]
    return "+".join([name for name in _MODIFIERS if name in modifiers] + [key])


def _is_key(shortcut: str) -> bool:
    try:
        normalise(shortcut)
    except ValueError:
        return False
    return True


class Keymap:
    """Effective keys of every command.

    Args:
        actions: the table.
        overrides: action id -> keys, replacing that command's defaults. Unknown ids (a newer version's file) and keys that are
            not written as keys are ignored.
    """

    def __init__(self, actions: Iterable[ActionSpec], overrides: Mapping[str, Iterable[str]] | None = None) -> None:
        self._actions = {spec.id: spec for spec in actions}
        self._overrides = {
            key: tuple(keys)
            for key, keys in ((FORMER_IDS.get(name, name), list(found)) for name, found in (overrides or {}).items())
            if key in self._actions and all(map(_is_key, keys))
        }
        self._found: dict[str, str] = {}
        #: Position on a US keyboard -> what the user's keyboard has there, where it differs and is known.
        self.printed: dict[str, str] = {}

    @property
    def overrides(self) -> dict[str, tuple[str, ...]]:
        """What differs from the defaults: the part that is stored."""
        return dict(self._overrides)

    def keys(self, action_id: str) -> tuple[str, ...]:
        """Keys of a command, the first one is shown. Raises KeyError for an unknown id."""
        return self._overrides.get(action_id, self._actions[action_id].shortcuts)

    def find(self, shortcut: str) -> str | None:
        """The id of the command that this key runs, or None; the first of the table if two have it."""
        if not self._found:
            for spec in self._actions.values():
                for key in self.keys(spec.id):
                    self._found.setdefault(normalise(key), spec.id)
        return self._found.get(normalise(shortcut)) if _is_key(shortcut) else None

    def owner(self, shortcut: str, *, apart_from: str = "") -> ActionSpec | None:
        """The command that has this key, or None."""
        wanted = normalise(shortcut)
        for spec in self._actions.values():
            if spec.id != apart_from and any(normalise(key) == wanted for key in self.keys(spec.id)):
                return spec
        return None

    def assign(self, action_id: str, shortcuts: Iterable[str]) -> None:
        """Give a command these keys. Raises ShortcutConflict where another command has one, and then changes nothing."""
        chosen = tuple(normalise(key) for key in shortcuts)
        for key in chosen:
            taken = self.owner(key, apart_from=action_id)
            if taken is not None:
                raise ShortcutConflict(
                    message("{key} already belongs to '{command}'", key=key, command=message(taken.text)),
                    remedy=message("Choose another key, or take it from that command first"),
                )
        self._found = {}
        if chosen == tuple(normalise(key) for key in self._actions[action_id].shortcuts):
            self._overrides.pop(action_id, None)
        else:
            self._overrides[action_id] = chosen

    def reset(self, action_id: str) -> None:
        """Give a command its default keys back. Raises ShortcutConflict if another command has taken one since."""
        self.assign(action_id, self._actions[action_id].shortcuts)

    def use_preset(self, name: str) -> None:
        """Replace all overrides by a preset's. Raises KeyError for an unknown name."""
        self._overrides = {key: keys for key, keys in PRESETS[name].items() if key in self._actions}
        self._found = {}

    def conflicts(self) -> list[tuple[str, str, str]]:
        """(key, id, other id) for every key that two commands have; a stored file can hold some after an update."""
        seen: dict[str, str] = {}
        found = []
        for spec in self._actions.values():
            for key in self.keys(spec.id):
                name = normalise(key)
                if name in seen:
                    found.append((name, seen[name], spec.id))
                else:
                    seen[name] = spec.id
        return found
