"""What a model's classes become in a project, which remembers the classes of its models and the person's choices."""

from __future__ import annotations

from app.state.patch import Labels
from app.state.project import Project
from deeplab_core.catalog import CatalogMapping, ClassCatalog, map_catalogs
from deeplab_core.labels import apply_lut
from deeplab_core.metrics.confusion import same_classes
from deeplab_core.records import Prediction


def card_key(card_id: str) -> str:
    """Project setting that keeps the catalog of a model (``ClassCatalog.to_dict``)."""
    return f"card {card_id}"


def mapping_key(source: ClassCatalog) -> str:
    """Project setting that keeps a person's choices for a model's classes: id -> the project's id, or None for void."""
    return f"mapping {source.name} {len(source)}"


def project_mapping(project: Project, source: ClassCatalog) -> CatalogMapping:
    """How the classes of ``source`` become the project's: by name, and where the person chose otherwise, by that.

    Choices that were made against an earlier catalog of the project count only as far as their classes are still there.
    """
    overrides: dict[int, int | None] = {}
    if not same_classes(source, project.catalog):
        known = set(project.catalog.ids.tolist())
        stored = project.setting(mapping_key(source), {})
        overrides = {int(key): value for key, value in stored.items() if value is None or value in known}
    return map_catalogs(source, project.catalog, overrides)


def in_project_ids(project: Project, prediction: Prediction, catalog: ClassCatalog | None = None) -> Labels | None:
    """(H, W) labels of a prediction in the project's ids.

    Args:
        catalog: of the model, where the caller knows it; otherwise what the project remembers of it.

    Returns:
        None where the model's classes are unknown, or one of them has no partner and nobody agreed to void.
    """
    if catalog is None:
        stored = project.setting(card_key(prediction.card_id))
        if stored is None:
            return None
        catalog = ClassCatalog.from_dict(stored)
    mapping = project_mapping(project, catalog)
    return None if mapping.unmatched else apply_lut(prediction.labels, mapping.lut)
