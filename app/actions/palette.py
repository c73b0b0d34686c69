"""What the command palette lists: every command in words that stand by themselves, best match first."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.actions.spec import ActionSpec

#: Names of commands whose object is only clear from their place in a menu.
FULL_NAMES = {
    "project.rescan": "Look for new images in the folder",
    "project.save": "Save the mask of this image now",
    "project.import": "Import masks for the images of the folder",
    "project.export": "Export the masks of the folder",
    "app.settings": "Settings of Atrous",
    "app.quit": "Quit Atrous",
    "edit.undo": "Undo the last step",
    "edit.redo": "Redo the step that was undone",
    "start.model": "Start this image again from the prediction",
    "start.truth": "Start this image again from the ground truth",
    "start.mask": "Start this image again from a mask file",
    "start.blank": "Start this image again from blank",
    "edit.accept_suggestion": "Take the waiting prediction for this image",
    "edit.dismiss_suggestion": "Dismiss the waiting prediction for this image",
    "go.reviewed_next": "Mark this image reviewed and open the next",
    "go.toggle_reviewed": "Mark this image reviewed, or not reviewed",
    "go.accept_change": "The mask of this image fits the changed file",
    "class.void": "Select unlabelled (void) as the class to paint",
    "class.previous": "Select the previous class",
    "class.next": "Select the next class",
    "class.find": "Find a class by its name",
    "class.show_all": "Show all classes in the overlay",
    "view.overlay": "Show masks over the picture",
    "view.contours": "Show contours of the masks",
    "view.more_opaque": "Stronger overlay on the picture",
    "view.less_opaque": "Fainter overlay on the picture",
    "view.trimap": "Show the trimap band in a view",
    "view.uncertainty": "Show the uncertainty in a view",
    "view.errors": "Show errors against the ground truth in a view",
    "view.linked": "One view of the picture, or several linked views",
    "view.layout_single": "Show the picture in one view",
    "view.layout_double": "Show the picture in two views",
    "view.layout_triple": "Show the picture in three views",
    "view.layout_quad": "Show the picture in four views",
    "view.layout_split": "Show the picture with a split slider",
    "view.fit": "Fit the picture to the window",
    "view.actual_size": "Show the picture at 100 %",
    "view.zoom_in": "Zoom into the picture",
    "view.zoom_out": "Zoom out of the picture",
    "view.keep": "Keep the zoom when the image changes",
    "model.run_image": "Run the model on this image",
    "model.run_folder": "Run the model on the folder",
    "model.cancel": "Stop the job that is running",
    "model.options": "Set the options of the model in use: stride, rates, input",
    "model.learn": "Learn from corrections of the folder: adapt the model",
    "model.compare": "Compare models on this image",
    "model.compare_file": "Compare models: add a model file",
    "model.compare_folder": "Compare models on the folder",
    "model.mapping": "Match the classes of the model to those of the project",
    "refine.preview": "CRF preview on this image",
    "refine.split": "Divide mask and CRF preview by a line",
    "refine.changes": "Show the pixels that the CRF changes",
    "refine.apply": "Apply the CRF to this image",
    "refine.apply_band": "Apply the CRF to this image, in the trimap band only",
    "refine.region": "Apply the CRF inside an outline on this image",
    "refine.folder": "Apply the CRF to the folder",
    "refine.discard": "Discard the CRF preview",
    "refine.scribble": "Scribble mode: the CRF follows strokes",
    "refine.mask": "Refine the mask itself by the CRF",
    "truth.choose": "Choose the ground truth of the folder",
    "truth.frame": "Orientation of the ground truth masks",
    "truth.judge_folder": "Judge the masks of the whole folder",
    "inspect.view": "Show the Judge view of the folder",
    "ambiguous.mark_error": "Mark the error under the pointer as ambiguous",
    "ambiguous.outline": "Mark an outline on the picture as ambiguous",
    "ambiguous.unmark": "Unmark what is ambiguous under the pointer",
    "help.messages": "Show the messages since the start",
    "window.theme": "Dark theme for the window",
    "window.dock_images": "Show or hide the panel of images",
    "window.dock_classes": "Show or hide the panel of classes",
    "window.dock_model": "Show or hide the panel of the model",
    "window.dock_crf": "Show or hide the panel of the CRF",
    "window.dock_trimap": "Show or hide the panel of the trimap curve",
    "window.dock_history": "Show or hide the panel of the history",
}

#: Ranks of a match, best first.
EXACT, BEGINS, WORDS, PHRASE, LETTERS, EXPLAINED = range(6)


def named(spec: ActionSpec) -> str:
    """A command by itself: what it does, and to what."""
    return FULL_NAMES.get(spec.id, spec.text).rstrip("…")


def match(query: str, spec: ActionSpec) -> tuple[int, int] | None:
    """How well a command fits what was typed; None if it does not. Smaller is better.

    Ranks: the whole name; its beginning; beginnings of its words in their order; the text somewhere in it; its letters in their
    order; all words in its menu, name and explanation. The second number is how far apart the letters or words are.
    """
    wanted = " ".join(query.lower().split())
    names = {text.lower() for text in (named(spec), spec.text.rstrip("…"))}
    found = [rank for name in names if (rank := _match_name(wanted, name)) is not None]
    if found:
        return min(found)
    everything = f"{spec.group.value} {named(spec)} {spec.text} {spec.tip}".lower()
    if all(word in everything for word in wanted.split()):
        return EXPLAINED, len(everything)
    return None


def ranked(query: str, specs: Iterable[ActionSpec]) -> list[ActionSpec]:
    """The commands that fit, best first, equally good ones in the order of the table; all of them for an empty text."""
    specs = [spec for spec in specs if not spec.held]
    if not query.strip():
        return specs
    ranks = [(rank, place) for place, spec in enumerate(specs) if (rank := match(query, spec)) is not None]
    return [specs[place] for _, place in sorted(ranks)]


def _match_name(wanted: str, name: str) -> tuple[int, int] | None:
    if name == wanted:
        return EXACT, 0
    if name.startswith(wanted):
        return BEGINS, len(name)
    starts = re.search(r".*?".join(rf"\b{re.escape(word)}" for word in wanted.split()), name)
    if starts:
        return WORDS, len(starts.group()) + starts.start()
    if wanted in name:
        return PHRASE, name.index(wanted)
    letters = re.search(".*?".join(map(re.escape, wanted.replace(" ", ""))), name)
    if letters and len(letters.group()) <= 3 * len(wanted):  # letters strewn over a whole sentence are chance
        return LETTERS, len(letters.group())
    return None
