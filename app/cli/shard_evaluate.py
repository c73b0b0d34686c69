"""``atrous evaluate --shards`` and ``--merge``: counts of each shard, and the figures of all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.console import progress
from app.cli.options import TruthOptions
from app.cli.run_record import recorded_threshold
from app.cli.shares import ShardOptions, Share, sharing
from app.cli.terminal import say
from deeplab_core.errors import AtrousError, DataFileError
from deeplab_core.parallel import available_cores
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.analysis.evaluation import Evaluation
    from deeplab_core.analysis.partial import EvaluationSettings
    from deeplab_core.shards import ResultFolder, Shard

_MOST_THREADS = 8


def refuse_folders(truth: TruthOptions, photographs: Path | None, ambiguous: Path | None, cache: Path | None) -> None:
    """Refuse options that name folders of single files. Raises click.UsageError."""
    given = {
        "--truth": truth.folders, "--allow-predicted-truth": truth.allow_predicted, "--mask-frame": truth.frame != "auto",
        "--images": photographs, "--ambiguous": ambiguous, "--cache": cache,
    }  # fmt: skip
    named = [name for name, value in given.items() if value]
    if named:
        raise click.UsageError(f"{named[0]} is for folders of single files, not for shards")


def merged(place: Path | str, resamples: int, seed: int) -> Evaluation:
    """The figures of all parts of a folder. Raises AtrousError."""
    from deeplab_core.analysis.partial import merge_parts
    from deeplab_core.shards import ResultFolder

    return merge_parts(ResultFolder(place), resamples=resamples, seed=seed)


def evaluate_shards(
    options: ShardOptions, prediction: Path | str | None, partials: Path | str, settings: EvaluationSettings,
    finish: Callable[[], int],
) -> int:  # fmt: skip
    """Count the shards that fall to this process; the exit status, the same in all processes that see each other.

    Args:
        options: which shards.
        prediction: what ``predict --shards`` wrote; None takes the predictions of the shards themselves.
        partials: folder of the parts.
        settings: what is counted.
        finish: merges the parts and reports the figures; called by one process once all shards are counted.

    Raises:
        AtrousError: the shards cannot be listed, or the folder has parts of other settings.
    """
    from deeplab_core.analysis.partial import write_list
    from deeplab_core.masks.output_marker import RUN_RECORD
    from deeplab_core.shards import ResultFolder

    results = ResultFolder(partials)
    predictions = None if prediction is None else ResultFolder(prediction)
    with sharing(options.share) as share:
        shards = options.listed(share)
        if share.leads:
            record = None if predictions is None else predictions.marker(RUN_RECORD)
            write_list(results, shards, made_at=recorded_threshold(record))
        threads = max(1, min(available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), _MOST_THREADS))
        failed = counted = kept = 0
        with progress("evaluate", len(shards)) as bar:
            for number in share.deal("evaluate", len(shards)):
                shard = shards[number]
                try:
                    if _counted(shard, settings, results, predictions, threads):
                        counted += 1
                    else:
                        kept += 1
                except _OtherSettings as error:
                    raise error.problem from None
                except AtrousError as error:
                    failed += 1
                    bar.note(f"failed: {error}")
                bar.advance(shard.name)
        more = f", {count(kept, 'shard')} counted before" if kept else ""
        say(f"atrous: {count(counted, 'shard')} counted{more} in {results}", err=True)
        lost = share.sum("failed", failed)
        if share.alone or share.world > 1:
            return _status(share, lost, finish)
        if not failed:
            say(f"once all shares are done: atrous evaluate --merge {results}", err=True)
        return 1 if failed else 0


def _status(share: Share, lost: int, finish: Callable[[], int]) -> int:
    def last() -> str:
        if lost:
            say(
                f"atrous: {count(lost, 'shard')} could not be counted; run the same command again, it does what is missing",
                err=True,
            )
            return "1"
        return str(finish())

    return int(share.told("status", last))


class _OtherSettings(Exception):
    """The folder holds parts that were counted otherwise: no reason to go on with the next shard."""

    def __init__(self, problem: AtrousError) -> None:
        self.problem = problem
        super().__init__(str(problem))


def _counted(
    shard: Shard, settings: EvaluationSettings, results: ResultFolder, predictions: ResultFolder | None, threads: int
) -> bool:
    """Count a shard; False if it was counted before."""
    from deeplab_core.analysis.partial import PART, count_shard, is_counted, versions, write_part

    results.remove_unfinished(shard.name + PART)
    made_of = versions(shard, settings.names, predictions)
    try:
        if is_counted(results, shard, settings, made_of):
            return False
    except DataFileError as error:
        raise _OtherSettings(error) from None
    write_part(results, shard, settings, count_shard(shard, settings, predictions, threads=threads), made_of)
    return True
