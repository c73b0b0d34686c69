"""Keeps the view, the check marks of the View menu and the settings in step with one another."""

from __future__ import annotations

from PySide6.QtCore import QObject

from app.controllers.annotate.view import ViewState
from app.services.services import Services
from app.viewmodels.annotate.panes import PaneKind, PaneLayout, member


class LookController(QObject):
    """Remembers how a person likes to look at pictures."""

    def __init__(self, services: Services, view: ViewState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._view, self._settings, self._facts = view, services.settings, services.facts
        view.set_opacity(services.settings["canvas.opacity"] / 100)
        view.keep_view = services.settings["canvas.keep_view"]
        if view.overlay.contours != services.settings["canvas.contours"]:
            view.toggle_contours()
        view.set_layout(member(PaneLayout, services.settings["canvas.layout"], PaneLayout.SINGLE))
        view.panesChanged.connect(self._follow)
        view.overlayChanged.connect(self._follow)
        services.settings.changed.connect(self._take_setting)
        self._follow()

    def blink(self, on: bool) -> None:
        """Show the prediction instead of the mask while the key is held."""
        self._view.set_blink(PaneKind.PREDICTION if on else None)

    def _follow(self) -> None:
        view = self._view
        self._facts.update(
            overlay_on=view.overlay.visible,
            contours_on=view.overlay.contours,
            keep_view=view.keep_view,
            pane_trimap=view.shows(PaneKind.BAND),
            pane_uncertainty=view.shows(PaneKind.UNCERTAINTY),
            pane_errors=view.shows(PaneKind.ERRORS),
            pane_changes=view.shows(PaneKind.CHANGES),
            **{f"layout_{layout}": layout is view.layout for layout in PaneLayout},
        )
        self._settings.set("canvas.layout", str(view.layout))
        self._settings.set("canvas.opacity", min(max(round(view.overlay.opacity * 100), 5), 100))
        self._settings.set("canvas.contours", view.overlay.contours)
        self._settings.set("canvas.keep_view", view.keep_view)

    def _take_setting(self, key: str) -> None:
        value = self._settings[key]
        if key == "canvas.opacity" and round(self._view.overlay.opacity * 100) != value:
            self._view.set_opacity(value / 100)
        elif key == "canvas.contours" and self._view.overlay.contours != value:
            self._view.toggle_contours()
        elif key == "canvas.keep_view" and self._view.keep_view != value:
            self._view.toggle_keep()
