"""An evaluation in parts: one file of counts for each shard, and the figures of all of them.

Counts are whole numbers, and figures of single images are kept as they are, so that the parts give exactly the figures of one
process, whoever counted them and in whatever order. A part is a Parquet file: a row for each image, which pandas or DuckDB read
too, and the sums, the findings and the settings in its metadata.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.evaluate import CountedPairs, PairCounter
from deeplab_core.analysis.evaluation import IMAGE_MEANS, Evaluation, ImageResult
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ambiguous import AmbiguousMarks, decode_ambiguous
from deeplab_core.datasets.pairing import MaskPair
from deeplab_core.datasets.sidecars import decode_confidence
from deeplab_core.errors import AtrousError, DataFileError, StorageError, message
from deeplab_core.flavour import install_command
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.read import decode_mask
from deeplab_core.metrics.bootstrap import RESAMPLES
from deeplab_core.metrics.confusion import MeanScore
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.pair_reader import PairLabels, PairReader
from deeplab_core.parallel import in_order, read_ahead
from deeplab_core.reading import expecting, json_text, parse_json
from deeplab_core.records import TrimapBand
from deeplab_core.shards.places import ResultFolder, Shard, settings_hash
from deeplab_core.shards.reading import read_shard, shard_version
from deeplab_core.shards.samples import BrokenSample, Fields, ShardSample, member_path

#: Ending of a part, and the file that names all shards of an evaluation.
PART, LIST = ".evaluation.parquet", "evaluation-shards.json"
#: Parts of the first version had no marks of ambiguity.
_FORMAT = "atrous-evaluation-part-2"
_LIST_FORMAT = "atrous-evaluation-part-1"
#: What is read of shards: ground truth, predictions, or both out of one.
_TRUTH_ROLES, _PREDICTION_ROLES = ("truth", "ambiguous"), ("prediction", "confidence")
_ALL_ROLES = (*_TRUTH_ROLES, *_PREDICTION_ROLES)
_MOST_NOTE = 256 << 20
_AGAIN = message("Evaluate this shard again")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """What an evaluation counts.

    Attributes:
        catalog: classes of both sides.
        widths: of the reported bands, px, rising.
        band: rule and reference of the bands.
        boundary: whether boundary IoU and boundary F are measured.
        threshold: of two-class masks with a confidence map, or None.
        names: names of members and columns.
    """

    catalog: ClassCatalog
    widths: tuple[int, ...]
    band: TrimapBand
    boundary: bool = True
    threshold: float | None = None
    names: Fields = field(default_factory=Fields)

    def counter(self) -> PairCounter:
        """What counts one pair."""
        reader = _ShardReader(self.catalog)
        return PairCounter(self.catalog, reader, self.band, self.widths, self.boundary, None, self.threshold, None, "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values; :meth:`from_dict` is the inverse."""
        return {
            "catalog": {key: value for key, value in self.catalog.to_dict().items() if value is not None},
            "widths": list(self.widths), "rule": self.band.rule, "around": self.band.around, "boundary": self.boundary,
            "threshold": self.threshold, "names": self.names.to_dict(),
        }  # fmt: skip

    @staticmethod
    def from_dict(values: dict[str, Any]) -> EvaluationSettings:
        """Rebuild settings. Raises what malformed values raise."""
        return EvaluationSettings(
            catalog=ClassCatalog.from_dict(values["catalog"]),
            widths=tuple(int(width) for width in values["widths"]),
            band=TrimapBand(rule=values["rule"], around=values["around"]),
            boundary=bool(values["boundary"]),
            threshold=None if values["threshold"] is None else float(values["threshold"]),
            names=Fields(**values["names"]),
        )


@dataclass(frozen=True, slots=True)
class _ShardPair(MaskPair):
    """A pair whose files are in memory."""

    truth_data: bytes = b""
    prediction_data: bytes = b""
    confidence_data: bytes | None = None
    marks: tuple[bytes, Path] | None = None


class _ShardReader(PairReader):
    """Reads pairs that are in memory; both sides are taken to be in one frame."""

    def read(self, pair: MaskPair, info: ImageInfo | None = None) -> PairLabels:
        if not isinstance(pair, _ShardPair):
            raise DataFileError(message("its masks are in shards, which a report does not open"))
        truth = decode_mask(pair.truth_data, pair.truth, self.catalog)
        prediction = decode_mask(pair.prediction_data, pair.prediction, self.catalog)
        return PairLabels(truth.labels, prediction.labels, info, truth.notes, prediction.notes)

    def ambiguous(self, pair: MaskPair, shape: tuple[int, ...]) -> AmbiguousMarks | None:
        assert isinstance(pair, _ShardPair)
        return None if pair.marks is None else decode_ambiguous(*pair.marks, shape)

    def confidence_file(self, pair: MaskPair) -> Path | None:
        assert isinstance(pair, _ShardPair)
        return None if pair.confidence_data is None else pair.prediction.with_suffix(".confidence.png")

    def confidence(self, path: Path, pair: MaskPair, shape: tuple[int, ...], info: ImageInfo | None) -> NDArray[np.uint8]:
        del info
        assert isinstance(pair, _ShardPair)
        return decode_confidence(pair.confidence_data or b"", path, shape)


def prediction_shard(shard: Shard, predictions: ResultFolder | None) -> Shard:
    """The shard that holds the predictions of a shard: its own, or that of ``predict --shards``."""
    return shard if predictions is None else Shard(predictions.address(f"{shard.name}.tar"), shard.name, "tar")


def versions(shard: Shard, names: Fields, predictions: ResultFolder | None) -> list[str]:
    """What tells that ground truth or predictions of a shard have changed. Raises StorageError."""
    if predictions is None:
        return [shard_version(shard, names, _ALL_ROLES)]
    other = prediction_shard(shard, predictions)
    return [shard_version(shard, names, _TRUTH_ROLES), shard_version(other, Fields(), _PREDICTION_ROLES)]


def count_shard(
    shard: Shard, settings: EvaluationSettings, predictions: ResultFolder | None = None, *, threads: int = 1
) -> CountedPairs:
    """Compare the masks of a shard with its ground truth.

    Args:
        shard: holds the ground truth, and the predictions unless they are elsewhere.
        settings: what is counted.
        predictions: results of ``predict --shards``.
        threads: that read and count; the figures do not depend on it.

    Returns:
        What was counted; samples that could not be compared are in ``failures``.

    Raises:
        StorageError: a store was not reached; nothing of the shard counts then.
    """
    counter, found = settings.counter(), CountedPairs(settings.catalog)
    pairs = _pairs(shard, settings.names, predictions, found)
    for each in in_order(counter.count, read_ahead(pairs, 2 * threads), threads):
        if isinstance(each, AtrousError):
            found.failures.append(each)
        else:
            found.add(each, counter.reader)
    return found


def _pairs(shard: Shard, names: Fields, predictions: ResultFolder | None, found: CountedPairs) -> Iterator[_ShardPair]:
    if predictions is None:
        for sample in _good(read_shard(shard, names, _ALL_ROLES), found):
            truth = _content(sample, "truth", shard, names, found)
            prediction = None if truth is None else _content(sample, "prediction", shard, names, found)
            if truth is not None and prediction is not None:
                confidence = sample.files.get("confidence")
                yield _ShardPair(sample.key, prediction[1], truth[1], truth[0], prediction[0], confidence, _marks(sample))
        return
    others = _Others(prediction_shard(shard, predictions), found)
    for sample in _good(read_shard(shard, names, _TRUTH_ROLES), found):
        truth = _content(sample, "truth", shard, names, found)
        if truth is None:
            continue
        other = others.of(sample.key)
        if other is None or "prediction" not in other.files:
            found.missing.append(truth[1])
            continue
        path, confidence = other.paths["prediction"], other.files.get("confidence")
        yield _ShardPair(sample.key, path, truth[1], truth[0], other.files["prediction"], confidence, _marks(sample))
    found.extra += others.rest()


def _marks(sample: ShardSample) -> tuple[bytes, Path] | None:
    data = sample.files.get("ambiguous")
    return None if data is None else (data, sample.paths["ambiguous"])


def _good(samples: Iterator[ShardSample | BrokenSample], found: CountedPairs) -> Iterator[ShardSample]:
    for sample in samples:
        if isinstance(sample, ShardSample):
            yield sample
        elif sample.transient:
            raise sample.error
        else:
            found.failures.append(sample.error)


def _content(sample: ShardSample, role: str, shard: Shard, names: Fields, found: CountedPairs) -> tuple[bytes, Path] | None:
    try:
        return sample.demand(role, shard, names)
    except DataFileError as error:
        found.failures.append(error)
        return None


class _Others:
    """The predictions of a shard by name; as both sides have one order, few wait."""

    def __init__(self, shard: Shard, found: CountedPairs) -> None:
        self._shard = shard
        self._samples = _good(read_shard(shard, Fields(), _PREDICTION_ROLES), found)
        self._waiting: dict[str, ShardSample] = {}

    def of(self, key: str) -> ShardSample | None:
        while key not in self._waiting:
            sample = next(self._samples, None)
            if sample is None:
                return None
            self._waiting[sample.key] = sample
        return self._waiting.pop(key)

    def rest(self) -> list[Path]:
        keys = [*self._waiting, *(sample.key for sample in self._samples)]
        return [member_path(self._shard, key) for key in keys]


# Parts


def write_part(
    results: ResultFolder, shard: Shard, settings: EvaluationSettings, found: CountedPairs, made_of: Sequence[str]
) -> None:
    """Write ``NAME.evaluation.parquet``; it is there whole or not at all. Raises StorageError.

    Args:
        made_of: :func:`versions` of the shard, asked before it was read.
    """
    pa, parquet = _pyarrow()
    note = {
        "format": _FORMAT, "settings": settings.to_dict(), "shard": shard.name, "made_of": list(made_of),
        "over_void": found.over_void.tolist(), "images_with": found.analysis.images_with(),
        "truth": [found.truth.px.tolist(), found.truth.masks, *found.truth.most_void],
        "notes": [found.truth_notes.to_list(), found.prediction_notes.to_list()],
        "failures": [error.to_dict() for error in found.failures],
        "missing": list(map(str, found.missing)), "extra": list(map(str, found.extra)),
    }  # fmt: skip
    sums = ImageAnalysis(catalog=settings.catalog, counts=found.analysis.sums()).to_bytes()
    metadata = {"atrous": json_text(note), "atrous.sums": base64.b64encode(sums).decode()}
    table = pa.Table.from_pylist([_row(image) for image in found.images], schema=_schema(pa, metadata))
    stream = io.BytesIO()
    parquet.write_table(table, stream, compression="zstd")
    results.write(shard.name + PART, stream.getvalue())


def is_counted(results: ResultFolder, shard: Shard, settings: EvaluationSettings, made_of: Sequence[str]) -> bool:
    """Whether a part of these contents is there already.

    Raises:
        StorageError: the store cannot be reached.
        DataFileError: a part of other settings is there.
    """
    name = shard.name + PART
    if not results.exists(name):
        return False
    try:
        note = _note(results, name)[0]
    except DataFileError:
        return False  # damaged, so it is counted again
    if settings_hash(note["settings"]) != settings_hash(settings.to_dict()):
        raise DataFileError(
            message("{part} was counted with other classes or options", part=results.address(name)),
            remedy=message("Choose another folder with --partials"),
        )
    return bool(note["made_of"] == list(made_of))


def write_list(results: ResultFolder, shards: Sequence[Shard], *, made_at: float | None = None) -> None:
    """Write down which shards the evaluation has, so that a merge can tell whether one is missing.

    Args:
        results: folder of the parts.
        shards: all of the set.
        made_at: threshold that the masks were made with, if their run has recorded it.

    Raises:
        StorageError: it cannot be written.
    """
    text = json_text({"format": _LIST_FORMAT, "shards": [shard.name for shard in shards], "made_at": made_at}, indent=0)
    results.write(LIST, (text + "\n").encode("utf-8", "surrogateescape"))


def merge_parts(results: ResultFolder, *, resamples: int = RESAMPLES, seed: int = 0) -> Evaluation:
    """The figures of all parts, exactly those of one process.

    Raises:
        DataFileError: parts are missing, damaged or of different settings, or two shards have an image of one name.
        StorageError: the store cannot be reached.
    """
    listed = results.marker(LIST)
    if listed is None or listed.get("format") != _LIST_FORMAT:
        raise DataFileError(
            message("{place} holds no parts of an evaluation", place=results), remedy=message("Run 'evaluate --shards' first")
        )
    names = [str(name) for name in listed["shards"]]
    missing = [name for name in names if not results.exists(name + PART)]
    if missing:
        raise DataFileError(
            message("{missing} of {all} shards are not evaluated yet, e.g. {first}",
                    missing=len(missing), all=len(names), first=missing[0]),
            remedy=message("Run 'evaluate --shards' again; it does what is missing"),
        )  # fmt: skip
    settings: EvaluationSettings | None = None
    found: CountedPairs | None = None
    homes: dict[str, str] = {}
    for name in names:
        note, table = _note(results, name + PART)
        with expecting("the part of an evaluation is damaged", path=name + PART, remedy=_AGAIN, error=DataFileError):
            mine = EvaluationSettings.from_dict(note["settings"])
            if settings is None or found is None:
                settings, found = mine, CountedPairs(mine.catalog)
            elif mine.to_dict() != settings.to_dict():
                raise DataFileError(
                    message("{one} and {other} were counted with different classes or options", one=names[0], other=name),
                    remedy=message("Evaluate all shards with the same options"),
                )
            _add(found, note, table, mine)
        for image in found.images[len(homes) :]:
            other = homes.setdefault(image.name, name)
            if other != name:
                raise DataFileError(
                    message("{one} and {other} both have an image '{image}'", one=other, other=name, image=image.name),
                    remedy=message("Give each image of a set a name of its own"),
                )
    assert settings is not None
    assert found is not None
    counter = settings.counter()
    result = found.evaluation(counter, resamples=resamples, seed=seed)
    made_at = listed.get("made_at")
    if result.threshold is None and isinstance(made_at, float):
        result = replace(result, threshold=made_at)
    return replace(result, reader=counter.reader)


def _add(found: CountedPairs, note: dict[str, Any], table: Any, settings: EvaluationSettings) -> None:
    catalog = settings.catalog
    sums = ImageAnalysis.from_bytes(base64.b64decode(table.schema.metadata[b"atrous.sums"]), catalog)
    found.analysis.add_sums(sums.counts, {str(name): int(number) for name, number in note["images_with"].items()})
    for batch in table.to_batches(max_chunksize=1024):
        for row in batch.to_pylist():
            image = _result(row, settings)
            found.images.append(image)
            score = image.mean_iou.value
            scores = None if np.isnan(score) else {"iou": 1 - score}
            found.analysis.update(image.name, ImageAnalysis(catalog=catalog, scores=scores))
    found.over_void += np.array(note["over_void"], dtype=np.int64)
    px, masks, share, most = note["truth"]
    statistics = type(found.truth)(catalog)
    statistics.px += np.array(px, dtype=np.int64)
    statistics.masks, statistics.most_void = int(masks), (float(share), str(most))
    found.truth.add_statistics(statistics)
    found.truth_notes.add_counted(note["notes"][0])
    found.prediction_notes.add_counted(note["notes"][1])
    found.failures += [AtrousError.from_dict(error) for error in note["failures"]]
    found.missing += map(Path, note["missing"])
    found.extra += map(Path, note["extra"])


def _note(results: ResultFolder, name: str) -> tuple[dict[str, Any], Any]:
    """The note of a part and its table. Raises DataFileError, StorageError."""
    _, parquet = _pyarrow()
    data = results.read(name)
    with expecting("the part of an evaluation is damaged", path=name, remedy=_AGAIN, error=DataFileError):
        try:
            table = parquet.read_table(io.BytesIO(data), use_threads=False)
        except Exception as error:  # pyarrow raises many kinds
            raise ValueError(str(error)[:300]) from error
        note = parse_json(table.schema.metadata[b"atrous"], limit=_MOST_NOTE, what="the note of the part")
        if note["format"] != _FORMAT:
            raise ValueError("it is of another version")
        return note, table


def _row(image: ImageResult) -> dict[str, Any]:
    counts = image.counts
    return {
        "name": image.name, "prediction": str(image.prediction), "truth": str(image.truth), "width": image.width,
        "height": image.height, "labelled_px": image.labelled_px, "mean_iou": _known(image.mean_iou.value),
        "mean_iou_classes": image.mean_iou.classes, "pixel_accuracy": _known(image.pixel_accuracy), "band_px": image.band_px,
        "truth_sha256": image.truth_sha256,
        **{name: _known(value) for name, value in zip(IMAGE_MEANS, image.means, strict=True)},
        "channels": counts.channels.tolist(), "totals": counts.totals.ravel().tolist(), "bands": counts.bands.ravel().tolist(),
        "boundary": counts.boundary.ravel().tolist(),
    }  # fmt: skip


def _schema(pa: Any, metadata: dict[str, str]) -> Any:
    texts, numbers = ("name", "prediction", "truth", "truth_sha256"), ("width", "height", "labelled_px", "band_px")
    kinds = {
        **dict.fromkeys(texts, pa.string()), **dict.fromkeys((*numbers, "mean_iou_classes"), pa.int64()),
        **dict.fromkeys(("mean_iou", "pixel_accuracy", *IMAGE_MEANS), pa.float64()),
        **dict.fromkeys(("channels", "totals", "bands", "boundary"), pa.list_(pa.int64())),
    }  # fmt: skip
    return pa.schema(list(kinds.items()), metadata=metadata)


def _result(row: dict[str, Any], settings: EvaluationSettings) -> ImageResult:
    def array(name: str, *shape: int) -> NDArray[np.int64]:
        return np.array(row[name], dtype=np.int64).reshape(*shape)

    number, widths = len(row["channels"]), len(settings.widths)
    counts = ImageCounts(
        classes=len(settings.catalog), channels=array("channels", number), totals=array("totals", 3, number),
        bands=array("bands", widths, 3, number), boundary=array("boundary", 2, number),
    )  # fmt: skip
    return ImageResult(
        name=row["name"], prediction=Path(row["prediction"]), truth=Path(row["truth"]), width=row["width"], height=row["height"],
        labelled_px=row["labelled_px"], mean_iou=MeanScore(_nan(row["mean_iou"]), row["mean_iou_classes"]),
        pixel_accuracy=_nan(row["pixel_accuracy"]), band_px=row["band_px"], widths=settings.widths, counts=counts,
        means=tuple(_nan(row[name]) for name in IMAGE_MEANS), truth_sha256=row["truth_sha256"],
    )  # fmt: skip


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise StorageError(
            message("pyarrow is not installed"), remedy=message("Install it: {command}", command=install_command("shards"))
        ) from error
    return pa, parquet
