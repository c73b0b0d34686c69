"""Which shards a process works on: shares of array jobs, and the dealing under torchrun."""

from __future__ import annotations

import threading

import click
import pytest
from torch.distributed import TCPStore

from app.cli.shares import Share, parse_share, sharing


def parsed(text: str | None) -> tuple[int, int] | None:
    return parse_share(click.Context(click.Command("x")), click.Option(["--share"]), text)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "SLURM_ARRAY_TASK_ID", "SGE_TASK_ID", "LSB_JOBINDEX"):
        monkeypatch.delenv(name, raising=False)


def test_shares_begin_at_zero() -> None:
    assert parsed(None) is None
    assert parsed("0/4") == (0, 4)
    assert parsed("3/4") == (3, 4)
    for text in ("4/4", "-1/4", "1", "a/b", "0/0", "1/4/2"):
        with pytest.raises(click.BadParameter, match="share"):
            parsed(text)


@pytest.mark.parametrize(
    ("told", "share"),
    [
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}, (2, 4)),
        ({"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "4"},
         (3, 4)),
        ({"SGE_TASK_ID": "1", "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": "8", "SGE_TASK_STEPSIZE": "1"}, (0, 8)),
        ({"LSB_JOBINDEX": "8", "LSB_JOBINDEX_END": "8"}, (7, 8)),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "0", "AWS_BATCH_JOB_ARRAY_SIZE": "2"}, (0, 2)),
    ],
)  # fmt: skip
def test_an_array_job_is_asked_only_if_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], share: tuple[int, int]
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert parsed("array") == share
    with sharing(None) as mine:
        assert mine.fixed is None


def test_without_an_array_job_the_share_must_be_named() -> None:
    with pytest.raises(click.BadParameter, match="no array job"):
        parsed("array")


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_shares_cover_everything_once(of: int) -> None:
    dealt = [number for place in range(of) for number in Share(fixed=(place, of)).deal("x", 10)]
    assert sorted(dealt) == list(range(10))


def test_processes_that_see_each_other_share_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(click.UsageError, match="torchrun"), sharing((0, 2)):
        pass
    monkeypatch.setenv("RANK", "1")
    with sharing(None) as share:  # started by hand
        assert list(share.deal("x", 5)) == [1, 3]


def test_a_store_deals_each_number_once_and_sums_up() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    dealt: dict[int, list[int]] = {}
    sums: list[int] = []
    told: list[str] = []

    def work(rank: int) -> None:
        share = Share(rank, 4, None, TCPStore("127.0.0.1", store.port, is_master=False))
        told.append(share.told("list", lambda: f"made by {rank}"))
        dealt[rank] = list(share.deal("x", 40))
        sums.append(share.sum("failed", rank))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == ["made by 0"] * 4
    assert sorted(number for numbers in dealt.values() for number in numbers) == list(range(40))
    assert sums == [6] * 4
