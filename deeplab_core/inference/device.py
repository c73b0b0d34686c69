"""Which device computes, in which precision, with how many threads, and why not another one."""

from __future__ import annotations

import os
import platform
import warnings
from functools import cache
from pathlib import Path
from typing import Literal

from deeplab_core.errors import DeviceError, message
from deeplab_core.flavour import has_torch
from deeplab_core.networks import ComputeDevice, compute_threads
from deeplab_core.parallel import available_cores
from deeplab_core.records import Precision

#: Precision of arithmetic, as records spell it.
PrecisionName = Literal["fp32", "bf16", "fp16"]

_PREFERRED = ("cuda", "mps", "cpu")


def pick_device(asked: str = "auto") -> tuple[ComputeDevice, str]:
    """Choose the device to compute on.

    Args:
        asked: ``"auto"`` (cuda, then mps, then cpu) or a device such as ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

    Returns:
        The device, and a note for the user: empty if it is the device asked for, else what is used instead and why.

    Raises:
        DeviceError: ``asked`` is not a device that this program knows.
    """
    requested = asked.strip().lower()
    if requested in ("", "auto"):
        device = next(ComputeDevice(kind) for kind in _PREFERRED if not missing_reason(ComputeDevice(kind)))
        return _indexed(device), ""
    try:
        device = ComputeDevice.parse(requested)
    except ValueError:
        device = ComputeDevice("unknown")
    if device.type not in _PREFERRED:
        raise DeviceError(
            message("there is no device '{asked}'", asked=asked),
            why=message("Atrous computes on cpu, cuda (NVIDIA, or AMD with a ROCm build of PyTorch) and mps (Apple)"),
            remedy=message("Choose auto, cpu, cuda, cuda:1 or mps"),
        )
    reason = missing_reason(device)
    if not reason:
        return _indexed(device), ""
    fallback, _ = pick_device("auto")
    return fallback, f"{asked} cannot be used: {reason}. Computing on {fallback} instead."


def missing_reason(device: ComputeDevice) -> str:
    """Why ``device`` cannot be used, as a clause without a full stop; empty where it can."""
    if device.type == "cpu":
        return ""
    if not has_torch():
        return _missing_without_torch(device)
    import torch

    if device.type == "mps":
        if not torch.backends.mps.is_built():
            return "this PyTorch is built without Metal (it exists on Apple computers only)"
        return "" if torch.backends.mps.is_available() else "macOS 12.3 and an Apple or AMD GPU are needed"
    return _missing_cuda(device.index or 0)


def _missing_without_torch(device: ComputeDevice) -> str:
    """Graphs may use a GPU by the engine alone."""
    if device.type == "cuda" and not device.index and "CUDAExecutionProvider" in _providers():
        return ""
    return "this light installation has no PyTorch, which drives GPUs"


def _providers() -> list[str]:
    try:
        import onnxruntime
    except ImportError:
        return []
    return list(onnxruntime.get_available_providers())


def _missing_cuda(index: int) -> str:
    import torch

    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        return "this PyTorch is built without CUDA"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old driver warns on every question; the reason below reports it once
        if not torch.cuda.is_available():
            try:
                torch.cuda.init()  # type: ignore[no-untyped-call]
            except (RuntimeError, AssertionError) as error:
                return _first_sentence(str(error))
            return "the NVIDIA driver reports no GPU"
        count = torch.cuda.device_count()
        if index >= count:
            return f"there {'is 1 GPU' if count == 1 else f'are {count} GPUs'}, numbered from cuda:0"
        try:
            torch.ones(1, device=f"cuda:{index}").add_(1.0).item()
        except RuntimeError as error:  # e.g. a GPU that this build has no kernels for
            return _first_sentence(str(error))
    return ""


def _first_sentence(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "unknown reason"
    return line.split(". ")[0].rstrip(".")


def _indexed(device: ComputeDevice) -> ComputeDevice:
    return ComputeDevice("cuda", 0) if device.type == "cuda" and device.index is None else device


def describe_device(device: ComputeDevice) -> str:
    """The name shown to users, e.g. ``"cuda:0 (NVIDIA H200)"`` or ``"cpu"``."""
    if device.type == "cuda" and has_torch():
        import torch

        return f"{device} ({torch.cuda.get_device_name(str(device))})"
    return str(device)


def list_devices() -> tuple[dict[str, str], tuple[str, ...]]:
    """Usable devices (device string -> the name shown to users) and notes on why others are missing."""
    cores = available_cores()
    devices = {"cpu": f"{cores} thread{'' if cores == 1 else 's'}"}
    notes = []
    cuda = missing_reason(ComputeDevice("cuda"))
    if cuda:
        notes.append(f"No CUDA: {cuda}.")
    elif not has_torch():
        devices["cuda:0"] = "by ONNX Runtime"
    else:
        import torch

        for index in range(torch.cuda.device_count()):
            reason = missing_reason(ComputeDevice("cuda", index))
            if reason:
                notes.append(f"cuda:{index} cannot be used: {reason}.")
            else:
                devices[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if not missing_reason(ComputeDevice("mps")):
        devices["mps"] = "Apple Metal"
    return devices, tuple(notes)


def pick_precision(asked: Precision, device: ComputeDevice) -> tuple[PrecisionName, str]:
    """Precision of the network's arithmetic, and a note where it is not the one asked for.

    ``auto`` is float32 on the CPU and on Metal, and float16 on GPUs with tensor cores (compute capability 7.0 and newer):
    its 10-bit mantissa rounds eight times finer than bfloat16's. bfloat16 moves logits by several percent of their range
    (measured on DeepLabv3+ networks), so no device chooses it by itself.
    """
    if asked == "fp32":
        return "fp32", ""
    if asked == "bf16":
        if device.type == "cpu" and not _cpu_computes_bf16():
            return "fp32", "This processor has no bf16 instructions and would be ten times slower; computed in fp32."
        return "bf16", ""
    if asked == "fp16":
        if device.type == "cpu":
            return "fp32", "fp16 is slow on CPUs; computed in fp32."
        return "fp16", ""
    if device.type == "cuda" and has_torch():
        import torch

        if torch.cuda.get_device_capability(str(device)) >= (7, 0):
            return "fp16", ""
    return "fp32", ""


def _cpu_computes_bf16() -> bool:
    """Whether oneDNN has fast bfloat16 convolutions here; without AVX-512 it takes ten times as long as float32 (measured)."""
    if not has_torch():
        return False
    import torch

    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def cap_threads() -> int:
    """Limit torch's threads to the available cores and return their number.

    More threads than cores spin at each other's barriers: 2-thread inference was measured up to five times slower that way.
    """
    if not has_torch():
        return compute_threads()
    import torch

    threads = min(torch.get_num_threads(), available_cores())
    torch.set_num_threads(threads)
    return threads


@cache
def processor() -> str:
    """Name of the processor, and how many of its cores this process may use."""
    name = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{name or platform.processor() or platform.machine()}, {os.cpu_count()} cores"
