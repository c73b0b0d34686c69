"""The marker of an export's target folder: written before the first mask, and again with what was written in the end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from deeplab_core.errors import StorageError
from deeplab_core.masks.confirmed import provenance_name
from deeplab_core.masks.export.exporter import CollectionExporter, Exporter, ExportItem, LayoutExporter
from deeplab_core.masks.export.plan import ExportPlan
from deeplab_core.masks.output_marker import (
    OutputMarker,
    ProvenanceFile,
    StoredFrame,
    Untouched,
    mark_output,
    read_marker,
    unmark_output,
)


class Marking:
    """What one export says about its target folder."""

    def __init__(
        self,
        target: Path,
        items: Sequence[ExportItem],
        plan: ExportPlan,
        exporter: Exporter,
        frame: StoredFrame,
        *,
        replace: bool,
    ) -> None:
        self._target = target
        own = items[0].catalog if items else None
        self._catalog = None if own is None else exporter.written_catalog(own)
        self._project_catalog = own if own != self._catalog else None
        self._frame: StoredFrame = frame if exporter.follows_frame else "oriented"
        self._earlier: OutputMarker | None = read_marker(target)
        self._begun = False
        one_file = isinstance(exporter, CollectionExporter)
        pairs = list(zip(items, plan.outputs, strict=True))
        self._names = {item.name: item.name if one_file else path.relative_to(target).as_posix() for item, path in pairs}
        # Files that will be skipped are not ours.
        taken = set() if replace else {existing.path for existing in plan.existing}
        planned = [
            (item, own)
            for item, own in zip(items, plan.files, strict=True)
            if not taken.intersection(own) and item.name not in plan.refused
        ]
        self._planned = [self._names[item.name] for item, _ in planned]
        self._others = {
            path.relative_to(target).as_posix() for _, own in planned for path in (own if one_file else own[:-1])
        }  # also files of items that fail: whatever of them is left is ours
        if isinstance(exporter, LayoutExporter):
            self._others.update(exporter.shared(items))
        self._sources = {self._names[item.name]: item.name for item in items} if exporter.renames else {}
        self.written: dict[str, Untouched | None] = {}
        self._models: dict[str, tuple[str, ...]] = {}
        self._provenance: dict[str, ProvenanceFile] = {}

    def note(self, item: ExportItem, *, provenance: bool) -> None:
        """An item was written, with a picture of who set its pixels or without one."""
        name = self._names[item.name]
        self.written[name] = None if item.untouched is None else item.untouched()
        self._models[name] = () if item.models is None else item.models()
        if provenance:
            self._provenance[name] = ProvenanceFile(provenance_name(item.stem), item.reviewed)

    def forget(self, items: Collection[str]) -> None:
        """These items were not written after all."""
        for name in (self._names[item] for item in items):
            for noted in (self.written, self._models, self._provenance):
                noted.pop(name, None)

    def begin(self) -> None:
        """Call before every mask. Raises StorageError: the folder cannot be marked, so no mask may be written."""
        if not self._begun:
            self._write(dict.fromkeys(self._planned))
            self._begun = True

    def end(self) -> None:
        """Call after the last mask, whatever happened."""
        earlier, written = self._earlier, self.written
        if not self._begun:
            return
        with suppress(StorageError):  # what was planned is marked, which is the safe side
            if written:
                self._write(written)
            elif earlier is None:
                unmark_output(self._target)
            else:
                mark_output(
                    self._target, earlier.kind, {}, catalog=earlier.catalog, model=earlier.model, frame=earlier.frame,
                    earlier=earlier, project_catalog=earlier.project_catalog, sources=earlier.sources,
                )  # fmt: skip

    def _write(self, outputs: dict[str, Untouched | None]) -> None:
        mark_output(
            self._target, "export", outputs, catalog=self._catalog, frame=self._frame, earlier=self._earlier,
            models=chain.from_iterable(self._models.values()), others=self._others, provenance=self._provenance,
            project_catalog=self._project_catalog,
            sources={name: image for name, image in self._sources.items() if name in outputs},
        )  # fmt: skip
