"""Several processes on one batch: who this process is, sums over all, batch norm over all. Started by torchrun."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class TrainingGroup:
    """The processes that train together.

    Attributes:
        rank, world: number of this process and of all.
        device: where this process computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over all processes, without a gradient; the tensor itself with one process."""
        if self.world > 1:
            tensor = tensor.detach().clone()
            dist.all_reduce(tensor)
        return tensor

    def sum_counts(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum of integer counts over all processes."""
        if self.world == 1:
            return counts
        whole: NDArray[np.int64] = self.sum(torch.from_numpy(counts.copy()).to(self.device)).cpu().numpy()
        return whole

    def told(self, make: Callable[[], str]) -> str:
        """A text that the leading process makes and all get, so that the others need not look."""
        if self.world == 1:
            return make()
        data = bytearray(make().encode("utf-8", "surrogateescape") if self.leads else b"")
        size = torch.tensor([len(data)], device=self.device)
        dist.broadcast(size, 0)
        if not self.leads:
            data = bytearray(int(size))
        text = torch.frombuffer(data, dtype=torch.uint8).to(self.device)
        dist.broadcast(text, 0)
        return bytes(text.cpu().numpy()).decode("utf-8", "surrogateescape")

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def process_group(device: torch.device, *, patience: timedelta | None = None) -> Iterator[TrainingGroup]:
    """Join the group that torchrun announces in the environment; alone without it. Gloo on CPUs, NCCL on GPUs.

    Args:
        device: where this process computes; of several GPUs it gets the one of its local rank.
        patience: how long to wait for the other processes; None for torch's own limit (minutes).
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield TrainingGroup(0, 1, device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    # This module takes the group of the moment of its import as a default argument and so keeps it for good. Imported now it
    # takes none; imported later (an optimizer's first step does it) it would keep gloo's threads alive into the interpreter's
    # end, where they ask for the interpreter's lock and abort a process that has done its work.
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=patience)
    try:
        yield TrainingGroup(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


class _SumOverProcesses(torch.autograd.Function):
    """All-reduce with a gradient that is the all-reduce of the gradients."""

    @staticmethod
    def forward(ctx: object, tensor: Tensor) -> Tensor:  # noqa: ARG004
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # noqa: ARG004
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class CrossProcessBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batch of all processes, on any backend (torch's own SyncBatchNorm needs a GPU).

    Keys and evaluation are those of :class:`torch.nn.BatchNorm2d`.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """``(N, C, H, W)`` to the same shape and dtype."""
        if not self.training:
            return super().forward(input)
        # Under autocast the input may be bfloat16, which cannot even count the pixels of a crop: all sums are float32.
        kind, input = input.dtype, input.float()  # noqa: A001
        sums = torch.cat([input.sum((0, 2, 3)), input.new_tensor([input.numel() / input.shape[1]])])
        total: Tensor = _SumOverProcesses.apply(sums)
        mean, count = total[:-1] / total[-1], total[-1]
        # Two passes: mean of squares minus square of the mean would lose digits where the mean is large.
        centred = input - mean.view(1, -1, 1, 1)
        variance: Tensor = _SumOverProcesses.apply(centred.square().sum((0, 2, 3))) / count
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                momentum = 0.1 if self.momentum is None else self.momentum
                unbiased = variance * count / (count - 1).clamp(min=1)
                self.running_mean.lerp_(mean.detach(), momentum)
                self.running_var.lerp_(unbiased.detach(), momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked += 1
        scale = torch.rsqrt(variance + self.eps)
        if not self.affine:
            return (centred * scale.view(1, -1, 1, 1)).to(kind)
        return (centred * (scale * self.weight).view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(kind)


def synchronise_norms(model: M, group: TrainingGroup) -> M:
    """The model with every batch norm over all processes; parameters and buffers are kept, keys do not change."""
    if group.world == 1:
        return model
    if group.device.type == "cuda":
        converted: M = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = CrossProcessBatchNorm2d
    return model


def same_everywhere(model: nn.Module, group: TrainingGroup) -> None:
    """Give every process the weights of the leading one: sums that each took by itself may differ in their last digits."""
    if group.world > 1:
        model.to(group.device)
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, 0)
