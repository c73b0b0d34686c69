"""A plan of an import in words and rows, and what the user decides about its classes. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from app.state.class_edits import ClassEdits
from app.state.label_import import map_labels
from app.text import displayed, error_detail, error_title, mark, plural, sentence, spaced, tr
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.catalogs.editing import CatalogEdit, add_class, joined
from deeplab_core.errors import AtrousError, CatalogError
from deeplab_core.masks.importing import ImportPlan
from deeplab_core.masks.importing.mapping import VOID_NAME

#: What a class of a source can become besides a class of the project: not decided, a new class, void.
OPEN, NEW, VOID = "\0open", "\0new", "\0void"

_REASONS = {
    "name": mark("same name"),
    "synonym": mark("synonym"),
    "id": mark("same id"),
    "chosen": mark("your choice"),
    "format": mark("stated by the format"),
    "edit": mark("the class was edited"),
    "open": mark("no partner"),
}


@dataclass(frozen=True, slots=True)
class SourceClassRow:
    """One class of a source.

    Attributes:
        name: in the source.
        regions: how many regions it has, in words; empty for masks.
        value: name of the project's class that it becomes, or :data:`OPEN`, :data:`NEW`, :data:`VOID`.
        how: why, see :class:`deeplab_core.masks.importing.MappedClass`.
    """

    name: str
    regions: str
    value: str
    how: str


class ClassDecisions:
    """What becomes of the classes of a source.

    Attributes:
        base: the project's classes.
        edit: adds the classes that the project lacks; None without one.
        mapped: the plan with its classes mapped; None without a plan.
        rows: the classes that occur, open ones first.
    """

    def __init__(
        self,
        plan: ImportPlan | None,
        catalog: ClassCatalog,
        edits: ClassEdits | None,
        absent: Collection[str] = (),
    ) -> None:
        """Begin with nothing decided; classes without a partner that ``absent`` names have no pixel and are not asked about."""
        self._plan, self._edits, self._absent = plan, edits, absent
        self.base = catalog
        self._choices: dict[str, str] = {}
        self.edit: CatalogEdit | None = None
        self.mapped: ImportPlan | None = None
        self.rows: list[SourceClassRow] = []
        self._map()
        self.rows.sort(key=lambda row: row.value != OPEN)

    @property
    def catalog(self) -> ClassCatalog:
        """The project's classes with those that are added."""
        return self.base if self.edit is None else self.edit.catalog

    @property
    def open(self) -> tuple[str, ...]:
        """Classes that the user has to decide about."""
        return tuple(row.name for row in self.rows if row.value == OPEN)

    @property
    def preview(self) -> ImportPlan | None:
        """The plan for a picture, in which open classes are classes of their own; None without a plan."""
        if self._plan is None or not self.open:
            return self.mapped
        choices = {**self._choices, **dict.fromkeys(self.open, NEW)}
        try:
            return self._with(choices)[1]
        except CatalogError:  # a name that the project cannot have
            return self._with({**self._choices, **dict.fromkeys(self.open, VOID)})[1]

    def choose(self, names: Iterable[str], value: str) -> None:
        """Decide what classes become, all at once: each time takes as long as there are classes.

        Raises:
            CatalogError: a new class is one that the project cannot have; nothing was changed.
        """
        before = dict(self._choices)
        self._choices.update(dict.fromkeys(names, value))
        order = [row.name for row in self.rows]
        try:
            self._map()
        except CatalogError:
            self._choices = before
            raise
        self.rows.sort(key=lambda row: order.index(row.name))

    def _with(self, choices: Mapping[str, str]) -> tuple[CatalogEdit | None, ImportPlan]:
        """The edit that adds classes, and the plan with its classes mapped."""
        assert self._plan is not None
        added: list[CatalogEdit] = []
        names: dict[str, str] = {}
        gone = {} if self._edits is None else self._edits.retired(self.base)
        for name, value in choices.items():
            if value == NEW:
                now = added[-1].catalog if added else self.base
                added.append(add_class(now, name, color=self._color(name, now), reserved=gone))
                names[name] = added[-1].catalog.classes[-1].name
            elif value != OPEN:
                names[name] = VOID_NAME if value == VOID else value
        edit = joined(self.base, added) if added else None
        catalog = self.base if edit is None else edit.catalog
        return edit, map_labels(self._plan, catalog, names, self._edits).without(self._absent)

    def _map(self) -> None:
        if self._plan is None:
            return
        self.edit, self.mapped = self._with(self._choices)
        mapping = self.mapped.mapping
        by_id = {info.id: info.name for info in self.catalog.classes}
        self.rows = []
        for pair in () if mapping is None else mapping.pairs:
            one = pair.source
            chosen = self._choices.get(one.name)
            if pair.how == "absent" and chosen is None:
                continue  # nothing of it comes in
            value = OPEN if pair.how == "open" else VOID if pair.target is None else by_id[pair.target]
            value = NEW if chosen == NEW else value
            self.rows.append(SourceClassRow(one.name, "" if one.regions is None else spaced(one.regions), value, pair.how))

    def _color(self, name: str, catalog: ClassCatalog) -> tuple[int, int, int] | None:
        """The source's colour, unless another class has it."""
        color = next((one.color for one in (self._plan.classes if self._plan else ()) if one.name == name), None)
        return color if color not in {info.color for info in catalog.classes} else None


def decided_text(how: str) -> str:
    """Why a class becomes what it becomes."""
    return tr(_REASONS[how]) if how in _REASONS else how


def match_sentences(plan: ImportPlan, images: int) -> list[str]:
    """How many of the images have labels, and which label files are left over."""
    parts = [
        tr("{count} of {images} have labels.", count=spaced(len(plan.items)), images=plural("{n} image", "{n} images", images))
    ]
    if plan.without_image:
        parts.append(
            plural("{n} label file belongs to no image.", "{n} label files belong to no image.", len(plan.without_image))
        )
    if plan.unread:
        parts.append(plural("{n} file is not read.", "{n} files are not read.", len(plan.unread)))
    return parts


def matched_line(plan: ImportPlan | None, images: int, reason: str, error: AtrousError | None) -> tuple[str, str]:
    """(text, tone): how many images have labels, or why the labels cannot be read."""
    if plan is None:
        return ("" if error is None else f"{error_title(error)}. {error_detail(error)}"), "bad"
    if not plan.items:
        return tr("No image has labels there: names are compared with and without their folders."), "bad"
    parts = match_sentences(plan, images)
    if reason:
        parts.append(sentence(reason))
    return " ".join(parts), "warn" if plan.unread or plan.without_image else "muted"


def left_out(plan: ImportPlan) -> list[tuple[str, str]]:
    """(file or image, why) of everything that an import would leave out."""
    rows = [(displayed(part.name), sentence(part.why)) for part in (*plan.without_image, *plan.unread)]
    return rows + [(displayed(name), tr("The source has no labels for this image.")) for name in plan.without_labels]
