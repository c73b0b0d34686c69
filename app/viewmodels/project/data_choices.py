"""Ground truth, classes and frames in words: what the questions and the Classes panel say. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path

from app.state.class_choice import CatalogEffect, ClassQuestion, meaning_changes
from app.state.ground_truth import GroundTruth, TruthChoice
from app.text import plural, sentence, share_text, spaced, tr
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets import GroundTruthFiles, TruthAlternative
from deeplab_core.masks import OutputMarker
from deeplab_core.wording import name_some


@dataclass(frozen=True, slots=True)
class OfferedAnswer:
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


def truth_options(index: GroundTruthFiles, current: TruthChoice | None, images: int, used: GroundTruth) -> list[OfferedAnswer]:
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
            number = tr("{index} of {images}", index=spaced(len(used.index)), images=plural("{n} image", "{n} images", images))
            effect = tr(used.problem) or _effect(marker, tr("Metrics are computed against these masks."))
            title, doubtful = f"{folder.name}: {number}", marker is not None
            rows.insert(0, OfferedAnswer(folder, title, str(folder), effect, not used.problem, doubtful, chosen=True))
    none_chosen = current is not None and not current.folders
    rows.append(
        OfferedAnswer(
            None,
            tr("No ground truth"),
            "",
            tr("No IoU is computed. Labelling, prediction, refinement and export work."),
            chosen=none_chosen,
        )
    )
    return rows


def _option(entry: TruthAlternative, images: int, *, chosen: bool) -> OfferedAnswer:
    title = tr(
        "{name}: {matches} of {images}",
        name=entry.folder.name,
        matches=spaced(entry.matches),
        images=plural("{n} image", "{n} images", images),
    )
    marker = entry.marker
    # Masks that Atrous wrote are never found, but the user may name them: predictions are asked about again.
    possible = entry.possible or marker is not None
    if marker is not None:
        effect = _effect(marker, "")
    elif not entry.possible:
        effect = tr("This cannot be ground truth: {why}.", why=entry.why)
    else:
        effect = tr("Metrics are computed against these masks.")
        if entry.why and not entry.taken:
            effect = f"{effect} {sentence(entry.why)}"
    return OfferedAnswer(
        entry.folder, title, str(entry.folder), effect, possible, marker is not None or not entry.possible, chosen
    )


def _effect(marker: OutputMarker | None, plain: str) -> str:
    if marker is None:
        return plain
    what = sentence(marker.text())
    if marker.kind == "export":
        return tr("{what} On images that no user edited, the model would be evaluated against itself.", what=what)
    return tr("{what} Metrics against a model's own masks say nothing about its errors.", what=what)


def truth_intro(index: GroundTruthFiles, *, asked: bool) -> str:
    """Why the dialog is there."""
    if asked:
        reason = sentence(index.reason) if index.reason else ""
        rest = tr("Metrics are wrong if computed against the wrong masks. The answer is stored in the project.")
        return f"{reason} {rest}".strip()
    return tr("Metrics are computed against these masks. The choice is stored in the project and can be changed at any time.")


def truth_line(truth: GroundTruth, images: int) -> tuple[str, str, str]:
    """(text, tooltip, tone) of the Classes panel's line about the ground truth."""
    choice = truth.choice
    if choice is None:
        found = [entry for entry in truth.index.alternatives if entry.possible]
        if found:
            return tr("No ground truth chosen"), tr("The choice is not clear: press 'Ground truth…' to see the folders."), "warn"
        return (
            tr("No ground truth found"),
            tr(truth.index.reason) or tr("Ground truth masks have the same names as their images."),
            "faint",
        )
    if truth.problem:
        return tr("Ground truth cannot be read"), tr(truth.problem), "bad"
    if not choice.folders:
        if choice.how == "later":
            return tr("No ground truth chosen"), tr("You postponed the choice. Press 'Ground truth…' to choose."), "warn"
        return tr("No ground truth (your choice)"), tr("Press 'Ground truth…' to choose a folder."), "faint"
    chosen = tr("chosen")
    source = {"certain": tr("found automatically"), "asked": chosen, "user": chosen, "later": ""}[choice.how]
    paths = "\n".join(str(folder) for folder in choice.folders)
    names = paths if len(choice.folders) == 1 else plural("{n} folder", "{n} folders", len(choice.folders))
    lines = [
        paths,
        tr(
            "{index} of {images} have ground truth.",
            index=spaced(len(truth.index)),
            images=plural("{n} image", "{n} images", images),
        ),
        tr("Source: {source}.", source=source),
    ]
    tone = "muted"
    marker = truth.index.marker
    if marker is not None:
        lines.append(
            tr("It is {text}.", text=marker.text()) if marker.kind == "export" else tr("It holds {text}.", text=marker.text())
        )
        untouched = marker.untouched_images if marker.kind == "export" else None
        what = tr("predictions") if marker.kind != "export" else tr("an export")
        if untouched is not None:
            what = tr(
                "an export, {untouched} of {outputs} untouched", untouched=spaced(untouched), outputs=spaced(len(marker.outputs))
            )
        source, tone = f"{source}: {what}", "warn" if untouched != 0 else "muted"
    if truth.frame != "auto":
        lines.append(
            tr("The masks are read as stored (EXIF orientation).")
            if truth.frame == "stored"
            else tr("The masks are read as displayed (EXIF orientation).")
        )
    return f"{names} · {source}", "\n".join(lines), tone


def classes_source(catalog: ClassCatalog, how: str | None, reason: str, *, truth: bool) -> str:
    """Where the classes come from, for the tooltip of their box."""
    by = {
        "certain": tr("found in the ground truth"),
        "labels": tr("kept: images are labelled in these classes, and the ground truth allows them"),
        "asked": tr("chosen"),
        "user": tr("chosen"),
        "later": tr("not confirmed: the ground truth allows other classes too"),
    }.get(how or "", tr("the default of a new project") if not truth else tr("not confirmed"))
    return tr("{title}\nSource: {by}.", title=tr(catalog.title), by=by) + (f"\n{sentence(reason)}" if reason else "")


def effect_cells(effect: CatalogEffect) -> tuple[str, str, str]:
    """(masks that can be read, share of void, undeclared ids) of a catalog as a table shows it."""
    if not effect.sampled:
        return tr("not measured"), tr("not measured"), tr("not measured")
    read = effect.sampled - effect.refused
    void = tr("not measured") if isnan(effect.void) else share_text(effect.void)
    ids = list(effect.undeclared)
    return (
        tr("{read} of {sampled}", read=read, sampled=effect.sampled),
        void,
        tr(name_some([str(number) for number in ids], 4)) if ids else tr("none"),
    )


def effect_text(effect: CatalogEffect, current: ClassCatalog, question: ClassQuestion) -> tuple[str, bool]:
    """(what follows from a catalog, whether it can be chosen)."""
    parts = []
    if effect.sampled and effect.refused == effect.sampled:
        parts.append(tr("No ground truth file can be read in these classes."))
    elif effect.refused:
        parts.append(
            plural(
                "Of {n} file that was checked, {refused} cannot be read.",
                "Of {n} files that were checked, {refused} cannot be read.",
                effect.sampled,
                refused=effect.refused,
            )
        )
    elif effect.sampled:
        known = plural(
            "{n} class of {catalog} occurs", "{n} classes of {catalog} occur", effect.classes, catalog=len(effect.catalog)
        )
        parts.append(
            plural(
                "The checked file can be read; {known}.",
                "All {n} checked files can be read; {known}.",
                effect.sampled,
                known=known,
            )
        )
    if question.certain and effect is not question.effects[0] and effect.sampled:
        parts.append(
            tr(
                "But the ground truth suggests {title}: its ids would get other names.",
                title=tr(question.effects[0].catalog.title),
            )
        )
    change = meaning_changes(current, effect.catalog)
    if not change:
        return " ".join(parts), True
    if question.touched:
        parts.append(
            tr(
                "You edited {touched} in other ids, so these classes cannot be used here. {change}.",
                touched=plural("{n} image", "{n} images", question.touched),
                change=change,
            )
        )
        return " ".join(parts), False
    if question.predicted:
        parts.append(
            plural(
                "{n} mask of a model, which you have not edited, is set aside and can be predicted again.",
                "{n} masks of a model, which you have not edited, are set aside and can be predicted again.",
                question.predicted,
            )
        )
    return " ".join(parts), True
