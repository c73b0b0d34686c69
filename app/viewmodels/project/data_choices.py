"""Ground truth, classes and frames in words: what the questions and the Classes panel say. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path

from app.state.class_choice import CatalogEffect, ClassQuestion, meaning_changes
from app.state.ground_truth import GroundTruth, TruthChoice
from app.text import counted, spaced
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets import TruthAlternative, TruthIndex
from deeplab_core.masks import OutputMarker


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a question.

    Attributes:
        value: what it stands for: a folder, or None for no ground truth.
        title: what it is, short.
        path: where it lies; empty without a place.
        effect: what follows from it.
        possible: whether it can be chosen.
        doubtful: whether it should be thought over.
        chosen: it is in use, or the likeliest.
    """

    value: object
    title: str
    path: str
    effect: str
    possible: bool = True
    doubtful: bool = False
    chosen: bool = False


def truth_options(index: TruthIndex, current: TruthChoice | None, images: int, used: GroundTruth) -> list[Answer]:
    """Every folder that was found, the current choice, and none.

    Args:
        index: of a search beside the images.
        current: the project's choice.
        images: how many images the project has.
        used: what the project has now.
    """
    rows = []
    listed: set[Path] = set()
    for entry in index.alternatives:
        listed.add(entry.folder)
        now = current is not None and entry.folder in current.folders
        rows.append(_option(entry, images, chosen=now or (current is None and entry.taken and index.certain)))
    for folder in () if current is None else current.folders:
        if folder not in listed:
            marker = used.index.marker
            number = f"{spaced(len(used.index))} of {counted(images, 'image')}"
            effect = used.problem or _effect(marker, "Figures are measured against these masks.")
            title, doubtful = f"{folder.name}: {number}", marker is not None
            rows.insert(0, Answer(folder, title, str(folder), effect, not used.problem, doubtful, chosen=True))
    none_chosen = current is not None and not current.folders
    rows.append(
        Answer(
            None, "No ground truth", "", "There is no IoU. Labelling, prediction, refinement and export work.", chosen=none_chosen
        )
    )
    return rows


def _option(entry: TruthAlternative, images: int, *, chosen: bool) -> Answer:
    title = f"{entry.folder.name}: {spaced(entry.matches)} of {counted(images, 'image')}"
    marker = entry.marker
    # Masks that Atrous wrote are never found, but the user may name them: predictions are asked about again.
    possible = entry.possible or marker is not None
    if marker is not None:
        effect = _effect(marker, "")
    elif not entry.possible:
        effect = f"This cannot be ground truth: {entry.why}."
    else:
        effect = "Figures are measured against these masks."
        if entry.why and not entry.taken:
            effect = f"{effect} {entry.why[:1].upper()}{entry.why[1:]}."
    return Answer(entry.folder, title, str(entry.folder), effect, possible, marker is not None or not entry.possible, chosen)


def _effect(marker: OutputMarker | None, plain: str) -> str:
    if marker is None:
        return plain
    text = marker.text()
    what = f"{text[:1].upper()}{text[1:]}."
    if marker.kind == "export":
        return f"{what} Where no user touched an image, a model is measured against itself."
    return f"{what} Figures against a model's own masks say nothing about its errors."


def truth_intro(index: TruthIndex, *, asked: bool) -> str:
    """Why the dialog is there."""
    if asked:
        reason = f"{index.reason[:1].upper()}{index.reason[1:]}." if index.reason else ""
        rest = "Figures are wrong if they are measured against the wrong masks. The answer is kept with the project."
        return f"{reason} {rest}".strip()
    return "Figures are measured against these masks. The choice is kept with the project and can be changed at any time."


def truth_line(truth: GroundTruth, images: int) -> tuple[str, str, str]:
    """(text, tooltip, tone) of the Classes panel's line about the ground truth."""
    choice = truth.choice
    if choice is None:
        found = [entry for entry in truth.index.alternatives if entry.possible]
        if found:
            return "No ground truth chosen", "There is a doubt: press 'Ground truth…' to see the folders.", "warn"
        return "No ground truth found", truth.index.reason or "A ground truth mask has the name of its image.", "faint"
    if truth.problem:
        return "Ground truth cannot be read", truth.problem, "bad"
    if not choice.folders:
        if choice.how == "later":
            return "No ground truth chosen", "The question was put off. Press 'Ground truth…' to choose.", "warn"
        return "No ground truth (your choice)", "Press 'Ground truth…' to choose some.", "faint"
    source = {"certain": "found, certain", "asked": "chosen", "user": "chosen", "later": ""}[choice.how]
    paths = "\n".join(str(folder) for folder in choice.folders)
    names = paths if len(choice.folders) == 1 else f"{len(choice.folders)} folders"
    lines = [paths, f"{spaced(len(truth.index))} of {counted(images, 'image')} have ground truth.", f"Source: {source}."]
    tone = "muted"
    marker = truth.index.marker
    if marker is not None:
        lines.append(f"It is {marker.text()}." if marker.kind == "export" else f"It holds {marker.text()}.")
        untouched = marker.untouched_images if marker.kind == "export" else None
        what = "predictions" if marker.kind != "export" else "an export"
        if untouched is not None:
            what = f"an export, {spaced(untouched)} of {spaced(len(marker.outputs))} untouched"
        source, tone = f"{source}: {what}", "warn" if untouched != 0 else "muted"
    if truth.frame != "auto":
        lines.append(f"The masks are read as {'stored' if truth.frame == 'stored' else 'displayed'} (EXIF orientation).")
    return f"{names} · {source}", "\n".join(lines), tone


def classes_source(catalog: ClassCatalog, how: str | None, reason: str, *, truth: bool) -> str:
    """Where the classes come from, for the tooltip of their box."""
    by = {
        "certain": "found in the ground truth",
        "labels": "kept: the images are labelled in them, and the ground truth allows them",
        "asked": "chosen",
        "user": "chosen",
        "later": "not confirmed: the ground truth allows others too",
    }.get(how or "", "the default of a new project" if not truth else "not confirmed")
    return f"{catalog.title}\nSource: {by}." + (f"\n{reason}." if reason else "")


def effect_cells(effect: CatalogEffect) -> tuple[str, str, str]:
    """(masks that can be read, share of void, undeclared ids) of a catalog as a table shows it."""
    if not effect.sampled:
        return "not measured", "not measured", "not measured"
    read = effect.sampled - effect.refused
    void = "not measured" if isnan(effect.void) else f"{effect.void:.1%}".replace("%", "\u2009%")
    ids = list(effect.undeclared)
    more = f" and {len(ids) - 4} more" if len(ids) > 4 else ""
    return f"{read} of {effect.sampled}", void, ", ".join(map(str, ids[:4])) + more if ids else "none"


def effect_text(effect: CatalogEffect, current: ClassCatalog, question: ClassQuestion) -> tuple[str, bool]:
    """(what follows from a catalog, whether it can be chosen)."""
    parts = []
    if effect.sampled and effect.refused == effect.sampled:
        parts.append("No ground truth file can be read in these classes.")
    elif effect.refused:
        verb = "was" if effect.sampled == 1 else "were"
        parts.append(f"Of {counted(effect.sampled, 'file')} that {verb} tried, {effect.refused} cannot be read.")
    elif effect.sampled:
        known = counted(effect.classes, "class", "classes")
        tried = "The file that was tried can" if effect.sampled == 1 else f"All {effect.sampled} files that were tried can"
        parts.append(f"{tried} be read; {known} of {len(effect.catalog)} {'occurs' if effect.classes == 1 else 'occur'}.")
    if question.certain and effect is not question.effects[0] and effect.sampled:
        parts.append(f"But the ground truth speaks for {question.effects[0].catalog.title}: its ids would get other names.")
    change = meaning_changes(current, effect.catalog)
    if not change:
        return " ".join(parts), True
    if question.touched:
        parts.append(
            f"You worked on {counted(question.touched, 'image')} in other ids, so these classes cannot be taken here. {change}."
        )
        return " ".join(parts), False
    if question.predicted:
        parts.append(
            f"{counted(question.predicted, 'mask')} of a model, which you have not touched, "
            f"{'is' if question.predicted == 1 else 'are'} set aside and can be predicted again."
        )
    return " ".join(parts), True
