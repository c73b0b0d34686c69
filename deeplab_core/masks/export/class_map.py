"""Other classes in the files than in the project: renamed, merged, or those of another catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from deeplab_core.catalogs.catalog import CatalogMapping, ClassCatalog, map_catalogs
from deeplab_core.errors import ExportError, message
from deeplab_core.labels import LabelMap, apply_lut, check_labels, value_counts
from deeplab_core.masks.export.exporter import ExportItem, Loss

#: What stands for void in a class map.
VOID = "void"


def parse_class_map(texts: Sequence[str]) -> dict[str, str]:
    """``["cat=animal", "dog=animal", "sky=void"]`` as class -> class. Raises ExportError for other forms and contradictions."""
    found: dict[str, str] = {}
    for text in texts:
        source, equals, target = (part.strip() for part in text.partition("="))
        if not equals or not source or not target:
            raise ExportError(message("'{text}' maps no class", text=text), remedy=message("Write OLD=NEW, or OLD=void"))
        if found.get(source, target) != target:
            raise ExportError(
                message("'{source}' is mapped to '{one}' and to '{other}'", source=source, one=found[source], other=target),
                remedy=message("Name each class once"),
            )
        found[source] = target
    return found


def map_classes(
    source: ClassCatalog, pairs: Mapping[str, str], target: ClassCatalog | None = None
) -> tuple[ClassCatalog, CatalogMapping]:
    """The classes of the files, and how the project's classes become them.

    Args:
        source: the project's classes.
        pairs: class -> class, or ``"void"``. Names are compared as :meth:`ClassCatalog.by_name` does.
        target: classes of the files. Classes without an entry in ``pairs`` take the class of the same name. None takes the
            project's classes: a new name renames a class, several classes with one new name are merged, and a class that is
            mapped to another class of the project leaves the list.

    Returns:
        The catalog of the files and the mapping; ``mapping.unmatched`` names classes without a partner (only with ``target``).

    Raises:
        ExportError: a class that neither catalog has.
    """
    chosen: dict[int, str] = {}
    for name, partner in pairs.items():
        info = source.by_name(name)
        if info is None:
            raise ExportError(
                message("'{source}' has no class '{name}'", source=source.title, name=name),
                remedy=message("Its classes are {names}", names=", ".join(source.names)),
            )
        chosen[info.id] = partner
    if target is None:
        target = _renamed(source, chosen)
    overrides: dict[int, int | None] = {}
    for number, partner in chosen.items():
        match = target.by_name(partner)
        if match is None and partner.casefold() != VOID:
            raise ExportError(
                message("'{target}' has no class '{class_name}'", target=target.title, class_name=partner),
                remedy=message("Its classes are {names}", names=", ".join(target.names)),
            )
        overrides[number] = None if match is None else match.id
    return target, map_catalogs(source, target, overrides)


def _renamed(source: ClassCatalog, chosen: Mapping[int, str]) -> ClassCatalog:
    """The source's classes after renaming and merging. A new class has the place, id and colour of the first that becomes it."""
    classes, taken = [], set()
    kept = {info.name for info in source.classes if info.id not in chosen}
    for info in source.classes:
        name = chosen.get(info.id, info.name)
        if info.id in chosen:
            match = source.by_name(name)
            if name.casefold() == VOID and match is None:
                continue
            name = name if match is None or match.id in chosen else match.name
            if name in kept:
                continue
        if name not in taken:
            taken.add(name)
            classes.append(replace(info, name=name))
    if not classes:
        raise ExportError(message("every class is mapped to void"), remedy=message("Leave at least one class"))
    background = source.background if source.background in {info.id for info in classes} else None
    return replace(source, name=f"{source.name}-mapped", classes=tuple(classes), background=background)


def map_items(
    items: Sequence[ExportItem],
    pairs: Mapping[str, str],
    target: ClassCatalog | None = None,
    *,
    unmatched_to_void: bool = False,
) -> list[ExportItem]:
    """The same items with other classes; their labels are translated when they are read.

    Args:
        items: of one catalog.
        pairs, target: see :func:`map_classes`.
        unmatched_to_void: classes without a partner become void. Otherwise an image that holds one fails when its turn comes.

    Raises:
        ExportError: see :func:`map_classes`.
    """
    if not items or (not pairs and target is None):
        return list(items)
    source = items[0].catalog
    written, mapping = map_classes(source, pairs, target)
    if mapping.identity and written == source:
        return list(items)

    counted: dict[str, Loss] = {}
    lost_ids = [info.id for info in source.classes if info.name in mapping.unmatched]

    def loader(item: ExportItem) -> Callable[[], LabelMap | None]:
        def load() -> LabelMap | None:
            labels = item.labels()
            counted[item.name] = Loss()
            if labels is None:
                return None
            check_labels(np.ascontiguousarray(labels), source)
            lost = [] if unmatched_to_void else _occurring(labels, source, mapping.unmatched)
            if lost:
                raise ExportError(
                    message("{catalog} has no class for {lost}", catalog=written.title, lost=", ".join(lost)),
                    remedy=message("Choose what each becomes, or allow them to become void"),
                    option="--map, --unmatched-to-void",
                    path=item.name,
                )
            counted[item.name] = Loss(unmatched=int(value_counts(labels)[lost_ids].sum()))
            return apply_lut(labels, mapping.lut)

        return load

    def loss(item: ExportItem) -> Callable[[], Loss]:
        return lambda: counted[item.name] + (Loss() if item.loss is None else item.loss())

    return [replace(item, catalog=written, labels=loader(item), loss=loss(item)) for item in items]


def _occurring(labels: LabelMap, source: ClassCatalog, names: Sequence[str]) -> list[str]:
    present = set(np.unique(labels).tolist())
    return [info.name for info in source.classes if info.name in names and info.id in present]
