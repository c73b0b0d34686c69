"""What a model's classes become in a project, which remembers the classes of its models and the user's choices.

Choices belong to one model, told by the digest in its card's id: two networks with "3 numbered classes" mean different things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from app.state.project import Project
from deeplab_core.catalogs.catalog import CatalogMapping, ClassCatalog, map_catalogs
from deeplab_core.errors import AtrousError
from deeplab_core.labels import LabelMap, apply_lut, value_counts
from deeplab_core.metrics.confusion import same_classes
from deeplab_core.metrics.precision_recall import object_channel
from deeplab_core.records import Prediction

Choices = Mapping[int, int | None]

#: Project setting with the user's choices for the classes of every model: ``{model: {"names": [...], "to": {id: id or None}}}``.
_CHOICES = "class choices"
#: Names of catalogs that say nothing about their classes.
_NAMELESS = re.compile(r"numbered\d+|object")


def card_key(card_id: str) -> str:
    """Project setting that keeps the catalog of a model (``ClassCatalog.to_dict``)."""
    return f"card {card_id}"


def choose_classes(project: Project, source: ClassCatalog, card_id: str, choices: Choices) -> None:
    """Keep what the user chose for the classes of a model: its class id -> the project's, or None for void.

    Raises:
        StorageError: the project cannot be written.
    """
    stored = dict(_stored(project))
    stored[_model(card_id)] = {"names": list(source.names), "to": {str(key): value for key, value in choices.items()}}
    project.set_setting(_CHOICES, stored)


def forget_choices(project: Project, card_id: str) -> None:
    """Remove the choices for a model. Raises StorageError."""
    stored = dict(_stored(project))
    if stored.pop(_model(card_id), None) is not None:
        project.set_setting(_CHOICES, stored)


def chosen_classes(project: Project, card_id: str) -> dict[int, int | None]:
    """The user's choices for the classes of a model; empty if there are none."""
    return _pairs(_stored(project).get(_model(card_id)))


def project_mapping(project: Project, source: ClassCatalog, card_id: str | None = None) -> CatalogMapping:
    """How the classes of ``source`` become the project's: by name, and where the user chose otherwise, by that.

    Choices that were made against an earlier catalog of the project count only as far as their classes are still there.

    Args:
        source: classes of a model, or of a data set.
        card_id: of the model; None takes the choices that were made for any model of these very classes.
    """
    overrides: dict[int, int | None] = {}
    if not same_classes(source, project.catalog):
        known = set(project.catalog.ids.tolist())
        pairs = _of_classes(project, source) if card_id is None else _of_model(project, source, card_id)
        moves = project.class_edits.moves  # a class that was chosen may have been merged since
        now = {key: value if value is None else moves.get(value, value) for key, value in pairs.items()}
        overrides = {key: value for key, value in now.items() if value is None or value in known}
    return map_catalogs(source, project.catalog, overrides)


def object_id(project: Project, prediction: Prediction) -> int | None:
    """The project's id of the object of a two-class (sigmoid) network; None for other networks, and where it has no partner."""
    stored = project.setting(card_key(prediction.card_id)) if prediction.options.threshold is not None else None
    if stored is None:
        return None
    catalog = ClassCatalog.from_dict(stored)
    if len(catalog) != 2:
        return None
    found = int(project_mapping(project, catalog, prediction.card_id).lut[catalog.ids[object_channel(catalog)]])
    return None if found == project.catalog.ignore else found


def in_project_ids(project: Project, prediction: Prediction, catalog: ClassCatalog | None = None) -> LabelMap | None:
    """(H, W) labels of a prediction in the project's ids; the prediction's own array where they are the same. Not to be changed.

    Args:
        catalog: of the model, where the caller knows it; otherwise what the project remembers of it.

    Returns:
        None where the model's classes are unknown, or one of them has no partner and the user did not agree to void.
    """
    if catalog is None:
        stored = project.setting(card_key(prediction.card_id))
        if stored is None:
            return None
        catalog = ClassCatalog.from_dict(stored)
    mapping = project_mapping(project, catalog, prediction.card_id)
    if mapping.unmatched:
        return None
    labels = prediction.labels
    present = np.flatnonzero(value_counts(labels)) if labels.dtype == mapping.lut.dtype else np.zeros(0, np.intp)
    # Ids that stay as they are need no second map of the image's size.
    return labels if present.size and bool((mapping.lut[present] == present).all()) else apply_lut(labels, mapping.lut)


def _model(card_id: str) -> str:
    """The part of a card's id that a new name does not change: the digest of the weights."""
    match = re.match(r"[0-9a-f]{12}(?=-|$)", card_id)
    return match[0] if match else card_id


def _of_model(project: Project, source: ClassCatalog, card_id: str) -> dict[int, int | None]:
    stored = _stored(project)
    model = _model(card_id)
    if model in stored:
        return _pairs(stored[model])
    # Choices of an older version for classes that a name tells: they hold for every model of that data set.
    return {} if _NAMELESS.fullmatch(source.name) else _pairs(stored.get(f"catalog {source.name} {len(source)}"))


def _of_classes(project: Project, source: ClassCatalog) -> dict[int, int | None]:
    stored = _stored(project)
    same = [entry for entry in stored.values() if isinstance(entry, dict) and entry.get("names") == list(source.names)]
    entry = same[-1] if same else stored.get(f"catalog {source.name} {len(source)}")
    return _pairs(entry)


def _pairs(entry: object) -> dict[int, int | None]:
    pairs = entry.get("to") if isinstance(entry, dict) else None
    if not isinstance(pairs, dict):
        return {}
    right = {key: value for key, value in pairs.items() if str(key).isdecimal() and (value is None or type(value) is int)}
    return {int(key): value for key, value in right.items()}


def _stored(project: Project) -> Mapping[str, Any]:
    """All choices; those that older versions kept by a catalog's name and length are taken over once.

    They then belong to the models of that catalog that were used in the project before, and to no model that comes later,
    except if the catalog's name determines its classes.
    """
    stored = project.setting(_CHOICES)
    if isinstance(stored, dict):
        return stored
    old = {key.removeprefix("mapping "): value for key, value in project.settings("mapping ").items() if isinstance(value, dict)}
    if not old:
        return {}
    taken: dict[str, Any] = {f"catalog {name}": {"to": pairs} for name, pairs in old.items()}
    for key, value in project.settings("card ").items():
        try:
            catalog = ClassCatalog.from_dict(value)
        except (AtrousError, TypeError, AttributeError):
            continue
        pairs = old.get(f"{catalog.name} {len(catalog)}")
        if pairs is not None:
            taken[_model(key.removeprefix("card "))] = {"names": list(catalog.names), "to": pairs}
    if not project.read_only:
        project.set_setting(_CHOICES, taken)
    return taken
