"""Parquet of image and mask pairs, as the ``datasets`` library of Hugging Face reads it: columns ``image`` and ``mask``."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError, message
from deeplab_core.flavour import install_command
from deeplab_core.labels import LabelMap
from deeplab_core.masks.export.cvat import Pieces
from deeplab_core.masks.export.exporter import REMEDY, CollectionExporter, CollectionSession, ExportItem, check_catalog
from deeplab_core.masks.png import encode_ids_png, to_file_values
from deeplab_core.reading import json_text

#: Rows are written in groups of about so many bytes.
_GROUP = 64 << 20


class ParquetExporter(CollectionExporter):
    """``data/train.parquet``, or one file per split: the photograph's own bytes, and its mask as a grey PNG of class ids.

    The schema carries the features of the ``datasets`` library (two images) and the classes. Needs the extra ``parquet``.
    """

    name = "parquet"
    file_name = "data/train.parquet"

    def __init__(self) -> None:
        _pyarrow()

    def output_of(self, item: ExportItem) -> str:
        return f"data/{item.part}.parquet"

    def session(self, catalog: ClassCatalog) -> CollectionSession:
        return _ParquetSession(catalog)


class _ParquetSession(CollectionSession):
    def __init__(self, catalog: ClassCatalog) -> None:
        self._arrow, self._parquet = _pyarrow()
        self._catalog = catalog
        picture = self._arrow.struct([("bytes", self._arrow.binary()), ("path", self._arrow.string())])
        features = {name: {"_type": "Image"} for name in ("image", "mask")}
        metadata = {
            "huggingface": json.dumps({"info": {"features": features}}),
            "atrous.catalog": json_text(catalog.to_dict()),
        }
        self._schema = self._arrow.schema([("image", picture), ("mask", picture)], metadata=metadata)
        self._pieces = Pieces()
        self._writer = self._parquet.ParquetWriter(self._pieces, self._schema, compression="none")  # pictures are compressed
        self._rows: list[dict[str, Any]] = []
        self._held = 0
        self._written: list[tuple[str, int, int]] = []

    def begin(self) -> bytes:
        return self._pieces.take()

    def encode(self, item: ExportItem, labels: LabelMap) -> bytes:
        check_catalog(item, self._catalog)
        to_file_values(labels, item.catalog)
        if item.image_path is None:
            raise ExportError(
                message("a pair needs the photograph"), remedy=message("Export the mask in another format"), path=item.name
            )
        try:
            photograph = item.image_path.read_bytes()
        except OSError as error:
            raise ExportError(message("the photograph cannot be read"), why=str(error), path=item.image_path) from error
        mask = b"".join(encode_ids_png(labels, item.catalog))
        self._rows.append(
            {"image": {"bytes": photograph, "path": item.name}, "mask": {"bytes": mask, "path": f"{item.stem}.png"}}
        )
        self._held += len(photograph) + len(mask)
        self._written.append((item.name, zlib.crc32(photograph), zlib.crc32(np.ascontiguousarray(labels).data)))
        if self._held >= _GROUP:
            self._flush()
        return self._pieces.take()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._held = [], 0

    def finish(self) -> bytes:
        self._flush()
        self._writer.close()
        return self._pieces.take()

    def close(self) -> None:
        if self._writer.is_open:
            self._writer.close()

    def check(self, path: Path) -> None:
        from PIL import Image

        found = []
        with self._parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=16):
                for row in batch.to_pylist():
                    with Image.open(io.BytesIO(row["mask"]["bytes"])) as picture:
                        values = np.asarray(picture)
                    labels = np.where(values == self._catalog.file_ignore, self._catalog.ignore, values).astype(
                        self._catalog.dtype
                    )
                    found.append((row["image"]["path"], zlib.crc32(row["image"]["bytes"]), zlib.crc32(labels.data)))
        if found != self._written:
            raise ExportError(message("the pairs in the file differ from what was written"), remedy=REMEDY, path=path)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ExportError(
            message("pyarrow is not installed"), remedy=message("Install it: {command}", command=install_command("parquet"))
        ) from error
    return pa, parquet
