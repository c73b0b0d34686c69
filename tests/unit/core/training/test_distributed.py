"""Batch norm over two processes is batch norm over their joint batch: values, gradients and statistics."""

from __future__ import annotations

import gc
import importlib
import os
import socket
import weakref
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn

from deeplab_core.training.distributed import CrossProcessBatchNorm2d, TrainingGroup, process_group, synchronise_norms


def batch() -> torch.Tensor:
    return torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(0)) * 3 + 40


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4, affine=False))


def all_of_it(rank: int, folder: str, port: int) -> None:
    """What the tests ask of two processes. One pair does it all: importing torch takes longer than any of it."""
    torch.set_num_threads(1)
    one_share(rank, folder)
    norm_half(rank, folder)
    join_and_leave(rank, folder, port)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the two processes left what they computed."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(all_of_it, args=(str(folder), port), nprocs=2)
    return folder


def one_share(rank: int, folder: str) -> None:
    """Process 0 holds three images of the batch, process 1 two."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=600)
    )
    group = TrainingGroup(rank, 2, torch.device("cpu"))
    model = synchronise_norms(network(), group)
    x = batch()[:3] if rank == 0 else batch()[3:]
    x.requires_grad_()
    out = model(x)
    (out * torch.arange(out.numel() // len(out)).view(1, *out.shape[1:]).cos()).square().sum().backward()
    counts = group.sum_counts(np.full((2, 2), rank + 1, dtype=np.int64))
    gradients = {name: group.sum(p.grad) for name, p in model.named_parameters()}
    kept = {
        "out": out.detach(),
        "x": x.grad,
        "state": model.state_dict(),
        "gradients": gradients,
        "counts": torch.from_numpy(counts),
    }
    torch.save(kept, f"{folder}/share {rank}.pt")
    dist.destroy_process_group()


def test_two_processes_norm_as_one(folder: Path) -> None:
    shares = [torch.load(folder / f"share {rank}.pt", weights_only=True) for rank in range(2)]
    model = network()
    x = batch().requires_grad_()
    out = model(x)
    (out * torch.arange(out.numel() // len(out)).view(1, *out.shape[1:]).cos()).square().sum().backward()
    assert torch.allclose(torch.cat([share["out"] for share in shares]), out, atol=1e-5)
    assert x.grad is not None
    assert torch.allclose(torch.cat([share["x"] for share in shares]), x.grad, atol=1e-4)
    for share in shares:
        assert share["counts"].tolist() == [[3, 3], [3, 3]]
        for name, tensor in model.state_dict().items():
            assert torch.allclose(share["state"][name].float(), tensor.float(), rtol=1e-4, atol=1e-5), name
        for name, parameter in model.named_parameters():
            assert torch.allclose(share["gradients"][name], parameter.grad, rtol=1e-3, atol=1e-3), name


def norm_half(rank: int, folder: str) -> None:
    """Half of a batch in bfloat16, as autocast hands it over; more pixels than bfloat16 can count."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/half meeting", rank=rank, world_size=2)
    norm = synchronise_norms(nn.Sequential(nn.BatchNorm2d(2)), TrainingGroup(rank, 2, torch.device("cpu")))
    x = fine_batch()[rank : rank + 1].bfloat16().requires_grad_()
    out = norm(x)
    out.float().square().sum().backward()
    assert out.dtype == torch.bfloat16
    torch.save({"out": out.detach(), "state": norm.state_dict(), "x": x.grad}, f"{folder}/half {rank}.pt")
    dist.destroy_process_group()


def fine_batch() -> torch.Tensor:
    return torch.randn(2, 2, 37, 41, generator=torch.Generator().manual_seed(2)) * 2 + 5


def test_autocast_keeps_its_dtype_and_loses_no_counts(folder: Path) -> None:
    shares = [torch.load(folder / f"half {rank}.pt", weights_only=True) for rank in range(2)]
    norm = nn.Sequential(nn.BatchNorm2d(2))
    expected = norm(fine_batch().bfloat16().float())
    assert torch.allclose(torch.cat([share["out"] for share in shares]).float(), expected, atol=0.02)
    for share in shares:
        for name, tensor in norm.state_dict().items():
            assert torch.allclose(share["state"][name].float(), tensor.float(), rtol=1e-4, atol=1e-5), name
        assert share["x"].dtype == torch.bfloat16


def join_and_leave(rank: int, folder: str, port: int) -> None:
    """What torchrun announces to a process, then the imports that an optimizer makes when it is first used."""
    announced = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in announced.items()})
    with process_group(torch.device("cpu")) as group:
        importlib.import_module("torch._dynamo")
        assert group.sum(torch.ones(1)).item() == 2
        joined = weakref.ref(dist.group.WORLD)
    gc.collect()
    # Threads of gloo that outlived the group asked a dying interpreter for its lock, and the process aborted after its work.
    assert joined() is None, "something still holds the group, so its threads run on into the interpreter's end"
    Path(folder, f"left {rank}").touch()


def test_leaving_the_group_ends_its_threads(folder: Path) -> None:
    assert {path.name for path in folder.glob("left *")} == {"left 0", "left 1"}


def test_alone_nothing_changes() -> None:
    model = network()
    with process_group(torch.device("cpu")) as group:
        assert (group.rank, group.world, group.leads) == (0, 1, True)
        assert synchronise_norms(model, group) is model
        assert type(model[1]) is nn.BatchNorm2d
        assert group.sum(torch.ones(2)).tolist() == [1, 1]
        group.wait()


@pytest.mark.parametrize("affine", [True, False])
def test_evaluation_is_batch_norms(affine: bool) -> None:
    norm = nn.BatchNorm2d(3, affine=affine)
    norm(batch())
    norm.eval()
    expected = norm(batch())
    norm.__class__ = CrossProcessBatchNorm2d
    assert torch.equal(norm(batch()), expected)
