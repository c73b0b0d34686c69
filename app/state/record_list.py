"""The records of a project's images in memory, in natural order, and how they follow the database."""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Collection
from pathlib import Path

from app.state.folder_scan import ScanReport, of_images, reconcile
from app.state.image_record import RECORD_COLUMNS, RECORD_KINDS, ImageFlag, ImageRecord, records_from_rows
from app.state.store import DamagedStore, Store
from deeplab_core.errors import message

#: Most records that are looked at one by one; of more, all are read again.
_MOST_APART = 2000


class RecordList:
    """Every record, each under its id.

    Args:
        store: the database.
        in_order: paths in natural order, e.g. those of the folder's files.

    Attributes:
        all: in natural order of their paths.
        mutex: held while a record is replaced; two threads may change different fields of one record.
    """

    def __init__(self, store: Store, in_order: Collection[str] = ()) -> None:
        self.mutex = threading.RLock()
        self.all: list[ImageRecord] = []
        self._store = store
        self._places: dict[int, int] = {}
        self.read(in_order)

    def of(self, image: int) -> ImageRecord:
        """The record with this id. Raises KeyError if it is missing."""
        return self.all[self._places[image]]

    def place(self, image: int) -> int:
        """Where it is in :attr:`all`. Raises KeyError if it is missing."""
        return self._places[image]

    def replace(self, record: ImageRecord) -> bool:
        """Take another record of the same id and path; whether it differs from the one before."""
        with self.mutex:
            place = self._places[record.id]
            if self.all[place] == record:
                return False
            self.all[place] = record
            return True

    def read(self, in_order: Collection[str] = ()) -> None:
        """Read all records from the database.

        Args:
            in_order: paths in natural order; the records are sorted only if they have other ones.

        Raises:
            DamagedStore, StorageError: it is damaged or cannot be read.
        """
        from deeplab_core.datasets.find import natural_sort

        by_path = {record.relative_path: record for record in self._stored("")}
        known = len(in_order) == len(by_path) and all(path in by_path for path in in_order)
        with self.mutex:
            self._set([by_path[path] for path in (in_order if known else natural_sort(by_path))])

    def follow(self, folder_files: dict[str, tuple[int, int]], folder: Path, in_use: Collection[int] = ()) -> ScanReport:
        """Bring the database, and these records, in line with the files of the folder; only what differs is read and compared.

        Args:
            folder_files: result of :func:`app.state.folder_scan.stat_images`, in natural order.
            folder: of the images.
            in_use: ids of images that are never forgotten.

        Raises:
            StorageError, ProjectError: the database cannot be written or is damaged; nothing was changed.
        """
        with self.mutex:
            before = list(self.all)
        if all(record.flags is ImageFlag.NONE for record in before):  # else some may be missing
            known = {record.relative_path: (record.size, record.mtime_ns) for record in before}
            if known == folder_files:
                return reconcile(self._store, folder, folder_files, in_use, doubtful=(), certain=folder_files)
        same = {
            record.relative_path
            for record in before
            if folder_files.get(record.relative_path) == (record.size, record.mtime_ns) and not record.missing
        }
        doubtful = [record.id for record in before if record.relative_path not in same]
        if len(doubtful) > _MOST_APART:
            report = reconcile(self._store, folder, folder_files, in_use)
            self.read(folder_files)
            return report
        report = reconcile(self._store, folder, folder_files, in_use, doubtful=doubtful, certain=same)
        if len(doubtful) + report.added > _MOST_APART:
            self.read(folder_files)
        else:
            self._read_again(doubtful, max((record.id for record in before), default=0))
        return report

    def _read_again(self, ids: Collection[int], newest: int) -> None:
        """Read some records, and all of higher ids than ``newest``, again; a lower id that is new was one of them."""
        read = [*self._stored(of_images(ids)), *self._stored(f"WHERE id > {newest}")]
        leaving = set(ids)
        with self.mutex:
            records = [record for record in self.all if record.id not in leaving]
            for record in read:
                insort(records, record, key=_order)
            self._set(records)

    def _stored(self, where: str) -> list[ImageRecord]:
        rows = self._store.rows(f"SELECT {RECORD_COLUMNS} FROM images {where}", (), RECORD_KINDS)
        try:
            return records_from_rows(rows)
        except ValueError as error:
            raise DamagedStore(message("the project's database is damaged"), why=str(error), path=self._store.path) from error

    def _set(self, records: list[ImageRecord]) -> None:
        self.all = records
        self._places = {record.id: place for place, record in enumerate(records)}


def _order(record: ImageRecord) -> tuple[list[str | int], str]:
    from deeplab_core.datasets.find import natural_key

    return natural_key(record.relative_path)
