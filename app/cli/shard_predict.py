"""``atrous predict --shards``: a tar file of masks for each shard of images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

import click

from app.cli.console import ProgressReporter, emit, progress
from app.cli.model_choice import refuse_threshold, report_model, resolve_model
from app.cli.predict_run import named_options, overlapped, pace, settle_engine
from app.cli.run_record import asked_engine, differences, recorded_engine, refuse_other_run, run_record
from app.cli.shares import ShardOptions, Share, sharing
from app.cli.terminal import say
from app.services.folders import engine_trials_file
from deeplab_core.errors import AtrousError, StorageError, image_error, one_image
from deeplab_core.masks.output_marker import RUN_RECORD
from deeplab_core.notes import Note, RunNotes
from deeplab_core.parallel import read_ahead
from deeplab_core.reading import json_text
from deeplab_core.shards import (
    BrokenSample,
    ResultFolder,
    Shard,
    ShardSample,
    finished,
    mark_finished,
    read_shard,
    settings_hash,
    settled_place,
    shard_version,
    writing_shard,
)
from deeplab_core.wording import count

if TYPE_CHECKING:
    from pathlib import Path

    from deeplab_core.images import ImageData
    from deeplab_core.inference import Predictor
    from deeplab_core.inference.pixels import RGB
    from deeplab_core.records import EngineChoice, ModelCard, Prediction, PredictOptions
    from deeplab_core.shards import Fields

    _Pixels = tuple[Path, RGB]

#: Shards that are looked at before the work begins, so that a mistaken folder costs nothing.
_FIRST = 16
#: Samples that are looked at to find how many images to compute at a time, and a number of images that is worth a trial.
_ENOUGH, _MANY = 16, 1 << 20
#: Failures that are printed for each shard; the marker has all.
_PRINTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRun:
    """A prediction run over shards.

    Attributes:
        results: where the masks go.
        settings: what changes the masks, by the names of the command line; plain values of JSON.
        frame: of the masks, ``"stored"`` or ``"oriented"``.
        save_confidence, resume, overwrite: as the options of the command.
        as_json: JSON lines on stdout.
    """

    results: ResultFolder
    settings: dict[str, Any]
    frame: str
    save_confidence: bool
    resume: bool
    overwrite: bool
    as_json: bool


@dataclass(slots=True)
class _Done:
    """What became of the shards of this process."""

    shards: int = 0
    kept: int = 0
    images: int = 0
    failed: int = 0
    notes: RunNotes = field(default_factory=lambda: RunNotes("image"))


def predict_shards(
    options: ShardOptions,
    out: Path | str,
    model_name: str,
    prediction: PredictOptions,
    options_of_model: dict[str, Any],
    *,
    engine: EngineChoice | None,
    frame: str,
    save_confidence: bool,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Predict the shards that fall to this process, as ``predict`` says with the same options; the exit status.

    Raises:
        click.UsageError: results are there already, or were made with other settings.
        AtrousError: the shards cannot be listed, or the model cannot be read.
    """
    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    with sharing(options.share) as share:
        model, card = load_model(
            resolve_model(model_name), output_stride=prediction.output_stride, options=options_of_model
        )  # fmt: skip
        refuse_threshold(card, prediction.threshold)
        if share.leads:
            report_model(card)
        predictor = Predictor(model, card, options=prediction, device=prediction.device, trials=engine_trials_file())
        run = ShardRun(
            results=ResultFolder(out), settings={}, frame=frame, save_confidence=save_confidence, resume=resume,
            overwrite=overwrite, as_json=as_json,
        )  # fmt: skip
        shards = options.listed(share)
        _refuse_inputs(shards, share, run)
        _refuse_existing(shards, share, run)
        settled = share.told("engine", lambda: _settled(predictor, engine, shards, options, share, run))
        prediction = replace(prediction, engine=cast("EngineChoice", settled))
        predictor.options = prediction
        settings = {
            "--model": card.id, "catalog": card.catalog.name, "--frame": frame, "--save-confidence": save_confidence,
            "--image-field": options.names["image"] or None, "--id-field": options.names["id"] or None,
            **named_options(prediction),
        }  # fmt: skip
        return _run(predictor, card, options, shards, share, replace(run, settings=settings))


def _settled(
    predictor: Predictor, asked: EngineChoice | None, shards: tuple[Shard, ...], options: ShardOptions, share: Share,
    run: ShardRun,
) -> str:  # fmt: skip
    """The engine of all processes: that of the run that is resumed, or the one asked for; ``auto`` tries the first image.

    The record of the run keeps it. Shares of an array job see each other by that record alone: the first one that is through
    with its trial writes it, and all take what it says.

    Raises:
        click.UsageError: the results are those of another run; or such shares cannot agree.
        MissingPackage: the engine of the run that is resumed is not installed.
    """
    results, apart = run.results, share.fixed is not None
    earlier = None if run.overwrite else results.marker(RUN_RECORD)
    known = recorded_engine(earlier) if run.resume or (apart and asked == "auto") else None
    engine = asked_engine(asked, known, str(results), predictor.model, 1)
    if engine == "auto" and apart and (run.overwrite or not results.local):
        raise click.UsageError(
            "shares that do not see each other need one engine: choose --engine torch, onnx, openvino or amx "
            "(auto goes with a new local folder)"
        )
    predictor.options = replace(predictor.options, engine=engine)
    number, of = share.fixed or (0, 1)
    settle_engine(predictor, _first_pixels(shards[number::of][:_FIRST], predictor.model.in_channels, options))
    record = run_record(predictor.card, predictor.options, run.frame)
    if earlier is None and (run.overwrite or not apart):
        results.write(RUN_RECORD, _text(record))
        return predictor.options.engine
    if earlier is None and results.create(RUN_RECORD, _text(record)):
        return predictor.options.engine
    if earlier is None:  # another share was faster
        earlier = results.marker(RUN_RECORD) or {}
        if engine == "auto":
            predictor.options = replace(predictor.options, engine=recorded_engine(earlier) or "torch")
            record = run_record(predictor.card, predictor.options, run.frame)
    refuse_other_run(str(results), earlier, record)
    return predictor.options.engine


def _text(record: dict[str, Any]) -> bytes:
    return (json_text(record, indent=2) + "\n").encode("utf-8", "surrogateescape")


def _first_pixels(shards: Sequence[Shard], channels: int, options: ShardOptions) -> Iterator[_Pixels]:
    """Images of shards as a predictor takes them; those that cannot be read are reported when their turn comes."""
    names = options.fields()
    for shard in shards:
        yield from _pixels(read_shard(shard, names, ("image",)), shard, names, channels)


def _pixels(
    samples: Iterable[ShardSample | BrokenSample], shard: Shard, names: Fields, channels: int
) -> Iterator[_Pixels]:  # fmt: skip
    for sample in samples:
        try:
            _sample, path, data = _decoded(sample, shard, names, channels)
        except (AtrousError, _Broken):
            continue
        yield path, data.pixels(channels)


def _decoded(
    sample: ShardSample | BrokenSample, shard: Shard, names: Fields, channels: int
) -> tuple[ShardSample, Path, ImageData]:  # fmt: skip
    """A sample, what errors call its image, and the image. Raises AtrousError, _Broken."""
    from deeplab_core.images.decode import decode_image

    if isinstance(sample, BrokenSample):
        raise _Broken(sample)
    data, path = sample.demand("image", shard, names)
    with one_image(path):
        return sample, path, decode_image(data, path, fourth=channels == 4)


def _run(
    predictor: Predictor, card: ModelCard, options: ShardOptions, shards: tuple[Shard, ...], share: Share, run: ShardRun
) -> int:
    """The shards that fall to this process; the exit status, the same in all processes that see each other."""
    digest = settings_hash(run.settings)
    done = _Done()
    pace_of = _Pace(predictor, options, len(shards))
    with progress("predict", len(shards)) as bar:
        for number in share.deal("predict", len(shards)):
            _one_shard(shards[number], pace_of, card, options, run, digest, done, bar)
            bar.advance(shards[number].name)
    for line in done.notes.spoken():
        say(f"atrous: {line}", err=True)
    if run.as_json:
        emit("summary", model=card.id, output=str(run.results), shards=done.shards, kept=done.kept, written=done.images,
             failed=done.failed)  # fmt: skip
    else:
        kept = f", {count(done.kept, 'finished shard')} kept" if done.kept else ""
        failed = f", {done.failed} failed" if done.failed else ""
        say(f"{card.name}: {count(done.images, 'mask')} in {count(done.shards, 'shard')}{kept}{failed} in {run.results}")
    return 1 if share.sum("failed", done.failed) else 0


def _refuse_inputs(shards: tuple[Shard, ...], share: Share, run: ShardRun) -> None:
    """Refuse to replace the images themselves, whatever the options. Raises click.UsageError."""

    def look() -> str:
        images = {settled_place(shard.url) for shard in shards}
        places = (run.results.address(name) for shard in shards for name in _files(shard))
        return next((place for place in places if settled_place(place) in images), "")

    mine = share.told("inputs", look)
    if mine:
        raise click.UsageError(f"{mine} is one of the shards, which masks never replace; choose another folder with -o")


def _refuse_existing(shards: tuple[Shard, ...], share: Share, run: ShardRun) -> None:
    if run.resume or run.overwrite:
        return

    def look() -> str:
        number, of = share.fixed or (0, 1)
        first = shards[number::of][:_FIRST]
        return next((name for shard in first for name in _files(shard) if run.results.exists(name)), "")

    there = share.told("existing", look)
    if there:
        raise click.UsageError(
            f"{run.results.address(there)} is already there; add --resume to keep finished shards, --overwrite to replace them, "
            "or choose another folder"
        )


def _files(shard: Shard) -> tuple[str, str]:
    return f"{shard.name}.tar", f"{shard.name}.json"


class _Pace:
    """How many images are computed at a time, found with the first shard that is made."""

    def __init__(self, predictor: Predictor, options: ShardOptions, shards: int) -> None:
        self.predictor, self._options, self._shards = predictor, options, shards
        self._known: tuple[int, int] | None = None

    def __call__(self, shard: Shard) -> tuple[int, int]:
        """As :func:`app.cli.predict_run.pace`; (1, 1) for a shard that begins with images that cannot be read."""
        if self._known is not None:
            return self._known
        names = self._options.fields()
        samples = list(islice(read_shard(shard, names, ("image",)), _ENOUGH))
        pixels = _pixels(samples, shard, names, self.predictor.model.in_channels)  # decoded one at a time: they may be large
        first = next(pixels, None)
        if first is None:
            return 1, 1
        images = len(samples) * self._shards if len(samples) < _ENOUGH else _MANY
        alone = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("WORLD_SIZE") or "1") == 1
        self._known = pace(self.predictor, chain([first], pixels), images, alone=alone)
        return self._known


def _one_shard(
    shard: Shard, pace_of: _Pace, card: ModelCard, options: ShardOptions, run: ShardRun, digest: str, done: _Done,
    bar: ProgressReporter,
) -> None:  # fmt: skip
    try:
        if run.resume or run.overwrite:
            run.results.remove_unfinished(*_files(shard))
        version = shard_version(shard, options.fields(), ("image",))
        earlier = None if run.overwrite else _earlier(shard, run, digest, version)
        if earlier is not None:
            done.kept += 1
            done.failed += len(earlier["failed"])
            if earlier["failed"]:
                bar.note(f"note: {shard.name}: {count(len(earlier['failed']), 'image')} failed when it was made")
            return
        written, failed = _written(shard, pace_of, card, options, run, digest, done, bar)
        mark_finished(run.results, shard, digest, version, made_with=run.settings, images=written, failed=failed)
    except AtrousError as error:
        done.failed += 1
        bar.note(f"failed: {error}")
        if run.as_json:
            emit("failed", shard=shard.name, error=error.to_dict())
        return
    done.shards += 1
    done.images += written
    done.failed += len(failed)
    if run.as_json:
        emit("shard", shard=shard.name, written=written, failed=failed)


def _earlier(shard: Shard, run: ShardRun, digest: str, version: str) -> dict[str, Any] | None:
    """The marker of a finished shard that is kept; None where it is to be made.

    Raises:
        StorageError: something is there that was not to be replaced.
        click.UsageError: it was made with other settings.
    """
    if not run.resume:
        there = next((name for name in _files(shard) if run.results.exists(name)), None)
        if there is None:
            return None
        raise StorageError(
            f"{run.results.address(there)} is already there", remedy="Add --resume or --overwrite, or choose another folder"
        )
    marker = run.results.marker(f"{shard.name}.json")
    if (marker is None or "made_with" not in marker) and run.results.exists(f"{shard.name}.tar"):
        raise StorageError(
            f"{run.results.address(f'{shard.name}.tar')} is there, and nothing says that a run like this one wrote it",
            remedy="Choose another folder, or add --overwrite",
        )
    before = {} if marker is None else marker.get("made_with", {})
    if marker is not None and isinstance(before, dict) and marker.get("settings") != digest:
        differs = "; ".join(differences(before, run.settings)) or "its settings differ"
        raise click.UsageError(f"{run.results} holds shards of another run ({differs}); choose another folder, or --overwrite")
    found = finished(run.results, shard, digest, version)
    return found if found is not None and isinstance(found.get("failed"), list) else None


def _written(
    shard: Shard,
    pace_of: _Pace,
    card: ModelCard,
    options: ShardOptions,
    run: ShardRun,
    digest: str,
    done: _Done,
    bar: ProgressReporter,
) -> tuple[int, list[dict[str, Any]]]:
    """Masks written, and what failed.

    Raises:
        StorageError: the shard could not be read to its end now, or the results could not be written; nothing is left behind.
    """
    names, predictor = options.fields(), pace_of.predictor
    channels = predictor.model.in_channels

    def decode(sample: ShardSample | BrokenSample) -> tuple[ShardSample, Path, ImageData]:
        return _decoded(sample, shard, names, channels)

    def compute(step: tuple[ShardSample, Path, ImageData]) -> tuple[ShardSample, ImageData, Prediction]:
        sample, path, data = step
        with one_image(path):
            return sample, data, predictor(data.pixels(channels), uncertainty=False, confidence=run.save_confidence)

    def encode(step: tuple[ShardSample, ImageData, Prediction]) -> tuple[str, dict[str, bytes], tuple[Note, ...]]:
        sample, data, prediction = step
        return sample.key, _files_of(prediction, data, card, run), data.notes

    written, failed = 0, []
    at_once, batch = pace_of(shard)
    samples = read_ahead(read_shard(shard, names, ("image",)), 4)
    with writing_shard(run.results, shard, digest, made_with=run.settings) as writer:
        for future in overlapped(predictor, decode, compute, encode, samples, at_once, batch):
            try:
                key, files, notes = future.result()
            except _Broken as broken:
                if broken.sample.transient:
                    raise broken.sample.error from None
                key, error = broken.sample.key, broken.sample.error
            except Exception as problem:
                error = image_error(problem, shard.name)
                key = str(error.path or shard.name)
            else:
                writer.add(key, files)  # here, so that the members stand in the order of the samples
                written += 1
                done.notes.add(key, notes)
                continue
            failed.append({"sample": key, "error": error.to_dict()})
            if len(failed) <= _PRINTED:
                bar.note(f"failed: {error}")
    if len(failed) > _PRINTED:
        bar.note(f"failed: {len(failed) - _PRINTED:,} more of {shard.name}; {shard.name}.json lists them")
    return written, failed


class _Broken(Exception):
    """Carries what a shard held in place of a sample through the stages."""

    def __init__(self, sample: BrokenSample) -> None:
        self.sample = sample
        super().__init__(str(sample.error))


def _files_of(prediction: Prediction, data: ImageData, card: ModelCard, run: ShardRun) -> dict[str, bytes]:
    from deeplab_core.images import to_stored
    from deeplab_core.masks.png import encode_ids_png, encode_indexed_png, encode_png
    from deeplab_core.shards.writing import CONFIDENCE, MASK, NOTE

    def place(array: Any) -> Any:
        return to_stored(array, data.info.orientation) if run.frame == "stored" else array

    labels = place(prediction.labels)
    mask = encode_ids_png(labels, card.catalog) if card.catalog.wide else encode_indexed_png(labels, card.catalog)
    files = {MASK: b"".join(mask)}
    if run.save_confidence:
        files[CONFIDENCE] = b"".join(encode_png(place(prediction.confidence)))
    note = {
        "model": card.id, "frame": run.frame, "width": labels.shape[1], "height": labels.shape[0],
        "notes": [*prediction.report.notes, *(each.text for each in data.notes)],
    }  # fmt: skip
    return {**files, NOTE: json_text(note).encode("utf-8", "surrogateescape")}
