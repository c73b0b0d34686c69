"""The current CRF parameters: presets, found ones, and the user's own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.services.notifications import Notifier
from app.services.settings import SettingsStore
from app.text import tr
from deeplab_core.errors import AtrousError
from deeplab_core.reading import parse_json
from deeplab_core.records import CRFEngine, CRFParams
from deeplab_core.refine.parameters import PRESETS, build_params, check_params, read_params

#: What the dock starts with.
FIRST = "v1"
#: Name of parameters that are not a preset.
OWN = ""


class Base(StrEnum):
    """What is refined: the network's probabilities, or the mask as it is."""

    SCORES = "scores"
    MASK = "mask"


class CRFScope(StrEnum):
    """Where the preview may change the mask, and what 'apply' means."""

    IMAGE = "image"
    BAND = "band"


@dataclass(frozen=True, slots=True)
class CRFChoice:
    """One entry of the dock's list.

    Attributes:
        name: of a preset, the path of a file, or empty for the user's own.
        title: what the list shows.
        tip: where the parameters come from.
        params: the parameters.
    """

    name: str
    title: str
    tip: str
    params: CRFParams


class CRFSettings(QObject):
    """The current parameters, remembered between sessions, and what they are used on.

    Attributes:
        params: the parameters.
        base, scope: what is refined, and where.

    Signals:
        changed(): any of it, or another list of choices.
    """

    changed = Signal()

    def __init__(self, settings: SettingsStore, notifier: Notifier, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings, self._notifier = settings, notifier
        self.params = self._stored()
        self.base, self.scope = Base.SCORES, CRFScope.IMAGE

    @property
    def engine(self) -> CRFEngine:
        """What computes it."""
        engine: CRFEngine = self._settings["crf.engine"]
        return engine

    @property
    def certainty(self) -> float:
        """How sure a label is where the mask itself is refined, 0..1."""
        return float(self._settings["crf.certainty"])

    def set_base(self, base: Base) -> None:
        self.base = base
        self.changed.emit()

    def set_scope(self, scope: CRFScope) -> None:
        self.scope = scope
        self.changed.emit()

    def set_certainty(self, certainty: float) -> None:
        self._settings.set("crf.certainty", certainty)
        self.changed.emit()

    def choices(self) -> list[CRFChoice]:
        """Published presets, files of found parameters, and, if it is none of them, the current ones."""
        listed = [CRFChoice(preset.name, preset.title, preset.source, preset.params) for preset in PRESETS.values()]
        for text in self._settings["crf.files"]:
            path = Path(text)
            try:
                listed.append(CRFChoice(text, path.stem, text, read_params(path)))
            except AtrousError:
                continue  # moved or edited since; it comes back when the file does
        if all(choice.params != self.params for choice in listed):
            listed.append(CRFChoice(OWN, tr("Custom"), tr("Set with the sliders"), self.params))
        return listed

    def title(self) -> str:
        """Name of the current parameters, for the titles of steps."""
        found = next((choice for choice in self.choices() if choice.params == self.params), None)
        return "" if found is None or found.name == OWN else found.title

    def set(self, params: CRFParams, *, keep: bool = True) -> None:
        """Use other parameters; those that are out of range are refused. ``keep`` remembers them."""
        try:
            check_params(params)
        except AtrousError as error:
            self._notifier.report(error, replace_key="crf")
            return
        self.params = params
        if keep:
            self._settings.set("crf.params", json.dumps(asdict(params)))
        self.changed.emit()

    def choose(self, name: str) -> None:
        """Take a preset, or the parameters of a file of the list."""
        found = next((choice for choice in self.choices() if choice.name == name), None)
        if found is not None:
            self.set(found.params)

    def open(self, path: Path) -> None:
        """Add a file that ``atrous refine --search`` wrote to the list, and take its parameters."""
        try:
            params = read_params(path)
        except AtrousError as error:
            self._notifier.report(error, replace_key="crf")
            return
        known = [text for text in self._settings["crf.files"] if text != str(path)]
        self._settings.set("crf.files", [*known, str(path)])
        self.set(params)

    def _stored(self) -> CRFParams:
        try:
            return build_params(parse_json(self._settings["crf.params"]))
        except (ValueError, TypeError, AtrousError):
            return PRESETS[FIRST].params
