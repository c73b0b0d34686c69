"""What the command palette lists: every command in words that stand by themselves, best match first."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.actions.spec import ActionSpec
from app.text import mark as _
from app.text import tr

#: Full names of commands; in a menu, a shorter name is clear from its place.
FULL_NAMES = {
    "project.rescan": _("Rescan the folder for new images"),
    "project.save": _("Save the mask of this image now"),
    "project.import": _("Import masks for the images of the folder"),
    "project.export": _("Export the masks of the folder"),
    "app.settings": _("Settings of Atrous"),
    "app.quit": _("Quit Atrous"),
    "edit.undo": _("Undo the last step"),
    "edit.redo": _("Redo the step that was undone"),
    "start.model": _("Replace the mask by the prediction"),
    "start.truth": _("Replace the mask by the ground truth"),
    "start.mask": _("Replace the mask by a mask file"),
    "start.blank": _("Clear the mask of this image"),
    "edit.accept_suggestion": _("Take the waiting prediction for this image"),
    "edit.dismiss_suggestion": _("Dismiss the waiting prediction for this image"),
    "go.reviewed_next": _("Mark this image reviewed and open the next"),
    "go.toggle_reviewed": _("Mark this image reviewed, or not reviewed"),
    "go.accept_change": _("The mask of this image fits the changed file"),
    "class.void": _("Select unlabelled (void) as the class to paint"),
    "class.previous": _("Select the previous class"),
    "class.next": _("Select the next class"),
    "class.find": _("Find a class by its name"),
    "class.show_all": _("Show all classes in the overlay"),
    "view.overlay": _("Show masks over the image"),
    "view.contours": _("Show contours of the masks"),
    "view.names": _("Show the names of classes on the image"),
    "view.more_opaque": _("Increase overlay opacity"),
    "view.less_opaque": _("Decrease overlay opacity"),
    "view.trimap": _("Show the trimap band in a view"),
    "view.uncertainty": _("Show the uncertainty in a view"),
    "view.errors": _("Show errors against the ground truth in a view"),
    "view.linked": _("One view of the image, or several linked views"),
    "view.layout_single": _("Show the image in one view"),
    "view.layout_double": _("Show the image in two views"),
    "view.layout_triple": _("Show the image in three views"),
    "view.layout_quad": _("Show the image in four views"),
    "view.layout_split": _("Show the image with a split slider"),
    "view.fit": _("Fit the image to the window"),
    "view.actual_size": _("Show the image at 100 %"),
    "view.zoom_in": _("Zoom into the image"),
    "view.zoom_out": _("Zoom out of the image"),
    "view.keep": _("Keep the zoom when the image changes"),
    "model.run_image": _("Run the model on this image"),
    "model.run_folder": _("Run the model on the folder"),
    "model.cancel": _("Cancel the running job"),
    "model.options": _("Set the model options: stride, rates, input"),
    "model.learn": _("Adapt the model: learn from corrections"),
    "model.compare": _("Compare models on this image"),
    "model.compare_file": _("Compare models: add a model file"),
    "model.compare_folder": _("Compare models on the folder"),
    "model.compare_all": _("Compare all installed models on the folder"),
    "model.mapping": _("Match the model classes to the project classes"),
    "refine.preview": _("CRF preview on this image"),
    "refine.split": _("Split mask and CRF preview"),
    "refine.changes": _("Show pixels changed by the CRF"),
    "refine.apply": _("Apply the CRF to this image"),
    "refine.apply_band": _("Apply the CRF to this image, in the trimap band only"),
    "refine.region": _("Apply the CRF inside an outline on this image"),
    "refine.folder": _("Apply the CRF to the folder"),
    "refine.discard": _("Discard the CRF preview"),
    "refine.scribble": _("Scribble mode: the CRF refines strokes"),
    "refine.mask": _("Refine the mask itself with the CRF"),
    "truth.choose": _("Choose the ground truth of the folder"),
    "truth.frame": _("Orientation of the ground truth masks"),
    "evaluate.folder": _("Evaluate the masks of the folder"),
    "inspect.view": _("Show the Evaluation panel"),
    "ambiguous.mark_error": _("Mark the error under the pointer as ambiguous"),
    "ambiguous.outline": _("Mark an outline on the image as ambiguous"),
    "ambiguous.unmark": _("Clear the ambiguity mark under the pointer"),
    "help.messages": _("Show the messages since the start"),
    "window.theme": _("Dark theme for the window"),
    "window.dock_images": _("Show or hide the Images panel"),
    "window.dock_classes": _("Show or hide the Classes panel"),
    "window.dock_model": _("Show or hide the Model panel"),
    "window.dock_crf": _("Show or hide the CRF panel"),
    "window.dock_trimap": _("Show or hide the Trimap curve panel"),
    "window.dock_history": _("Show or hide the History panel"),
}

#: Ranks of a match, best first.
EXACT, BEGINS, WORDS, PHRASE, LETTERS, EXPLAINED = range(6)


def named(spec: ActionSpec) -> str:
    """A command by itself: what it does, and to what."""
    return tr(FULL_NAMES.get(spec.id, spec.text)).rstrip("…")


def match(query: str, spec: ActionSpec) -> tuple[int, int] | None:
    """How well a command fits what was typed; None if it does not. Smaller is better.

    Ranks: the whole name; its beginning; beginnings of its words in their order; the text somewhere in it; its letters in their
    order; all words in its menu, name and explanation. The second number is how far apart the letters or words are.
    """
    wanted = " ".join(query.lower().split())
    names = {text.lower() for text in (named(spec), spec.title.rstrip("…"))}
    found = [rank for name in names if (rank := _match_name(wanted, name)) is not None]
    if found:
        return min(found)
    everything = f"{spec.group.heading} {named(spec)} {spec.title} {spec.explanation}".lower()
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
