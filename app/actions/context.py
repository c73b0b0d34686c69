"""Context keys: what holds now, and so which commands are enabled and which are checked."""

from __future__ import annotations

from app.signal import Signal
from app.state.tools import TOOLS

#: Every context key with its meaning. A name that is not in this table is a spelling mistake and is refused.
CONTEXT_KEYS: dict[str, str] = {
    "project_open": "a folder is open",
    "project_writable": "this window may write to the project",
    "has_images": "the folder holds at least one image",
    "image_open": "an image is on the canvas",
    "can_edit": "the image on the canvas may be changed",
    "can_start_over": "an image is on the canvas, or was refused because of its mask, and the project may be written",
    "can_undo": "there is a step to undo, in the image on the canvas or in another one",
    "can_undo_folder": "the last folder job can be undone",
    "can_redo": "there is a step to redo",
    "model_ready": "a model is loaded",
    "light": "PyTorch is not installed",
    "has_prediction": "the model has seen the image on the canvas",
    "has_truth": "the image on the canvas has ground truth",
    "suggestion_waiting": "a suggestion is available",
    "job_running": "at least one job is running",
    "to_check": "the file of the image on the canvas, or of its mask, is not what it was, and the project may be written",
    "reviewed": "the image on the canvas is marked reviewed",
    "rejected": "the image on the canvas is rejected",
    "at_error": "an error of the image is shown to be fixed",
    "copy_region_on": "regions of the image are copied, not components",
    "snapping_on": "the lasso snaps to the edges of the image",
    "within_on": "strokes paint only over the class where they begin",
    "over_on": "only some classes may be painted over",
    "inside_band_on": "only pixels inside the trimap band may be painted",
    "outside_band_on": "only pixels outside the trimap band may be painted",
    "view_adjusted": "the image is shown with another brightness, contrast or gamma",
    "overlay_on": "masks are drawn over the image",
    "contours_on": "contours are drawn",
    "names_on": "names of classes stand on their regions",
    "keep_view": "zoom and place stay when the image changes",
    "pane_trimap": "a pane shows the trimap band",
    "pane_uncertainty": "a pane shows the uncertainty",
    "pane_errors": "a pane shows the errors",
    "layout_single": "one pane is shown",
    "layout_double": "two panes are shown",
    "layout_triple": "three panes are shown",
    "layout_quad": "four panes are shown",
    "layout_split": "two views share one pane",
    "crf_preview": "the CRF preview is on",
    "crf_split": "a line divides the mask from the CRF preview",
    "crf_region": "the CRF refines the inside of outlines",
    "crf_running": "the CRF runs over the folder",
    "scribble_on": "the CRF follows every stroke",
    "pane_changes": "a pane shows what the CRF changes",
    "evaluation_open": "the Evaluation panel is in front",
    "has_components": "a list of error components is open",
    "comparing": "models are compared",
    "compare_running": "models are compared over the folder",
    "receptive_on": "the receptive field follows the pointer",
    "marking_ambiguous": "the next outline marks a region as ambiguous",
    "learning": "a model learns from corrections",
    "learned_waiting": "a model has learned and waits for a decision",
    "dock_images": "the list of images is shown",
    "dock_classes": "the classes are shown",
    "dock_model": "the model is shown",
    "dock_crf": "the CRF is shown",
    "dock_trimap": "the trimap curve is shown",
    "dock_history": "the history is shown",
    "docks_folded": "the panels are hidden",
    "theme_dark": "the dark theme is on",
} | {spec.context_key: f"the current tool is '{spec.text}'" for spec in TOOLS}


class ContextKeys:
    """The current values of all context keys; listeners are notified once per update."""

    def __init__(self) -> None:
        self._values = dict.fromkeys(CONTEXT_KEYS, False)
        #: Emitted with the names that changed.
        self.changed: Signal[frozenset[str]] = Signal()

    def __getitem__(self, name: str) -> bool:
        return self._values[name]

    def hold(self, *names: str) -> bool:
        """Whether all of them hold; ``"!name"`` asks for the opposite."""
        return all(not self._values[name[1:]] if name.startswith("!") else self._values[name] for name in names)

    def update(self, **changes: bool) -> None:
        """Set some keys and emit the names of those that changed. Raises KeyError for a name that is not in CONTEXT_KEYS."""
        for name in changes:
            if name not in self._values:
                raise KeyError(f"'{name}' is not a context key; see app.actions.context.CONTEXT_KEYS")
        changed = frozenset(name for name, value in changes.items() if self._values[name] != bool(value))
        if not changed:
            return
        self._values.update({name: bool(changes[name]) for name in changed})
        self.changed.emit(changed)
