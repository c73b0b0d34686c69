"""Devices: the choice, and the reason when it is another one."""

from __future__ import annotations

import pytest
import torch

from deeplab_core.errors import DeviceError
from deeplab_core.inference import cap_threads, list_devices, pick_device, pick_precision
from deeplab_core.inference.memory import available_bytes, is_out_of_memory
from deeplab_core.networks import ComputeDevice
from deeplab_core.parallel import available_cores


def test_auto_prefers_cuda_then_metal_then_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"cuda", "mps", "cpu"}
    monkeypatch.setattr("deeplab_core.inference.device.missing_reason", lambda d: "" if d.type in present else "gone")
    assert pick_device("auto") == (ComputeDevice("cuda", 0), "")
    present.remove("cuda")
    assert pick_device("auto") == (ComputeDevice("mps"), "")
    present.remove("mps")
    assert pick_device("auto") == (ComputeDevice("cpu"), "")
    assert pick_device("cuda") == (ComputeDevice("cpu"), "cuda cannot be used: gone. Computing on cpu instead.")


def test_a_build_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    device, note = pick_device("cuda:0")
    assert device.type != "cuda"
    assert "this PyTorch is built without CUDA" in note


def test_a_missing_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system. Please check that you have one")

    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", no_driver)
    _, note = pick_device("cuda")
    assert note.startswith("cuda cannot be used: Found no NVIDIA driver on your system. Computing on")


def test_a_gpu_number_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("deeplab_core.inference.device._PREFERRED", ("cpu", "cuda", "mps"))
    assert "there is 1 GPU, numbered from cuda:0" in pick_device("cuda:3")[1]


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "xla", "vulkan", "meta"])
def test_unknown_devices_list_the_choices(name: str) -> None:
    with pytest.raises(DeviceError, match="auto, cpu, cuda"):
        pick_device(name)


def test_precision_is_exact_on_cpus_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = ComputeDevice("cpu")
    assert pick_precision("auto", cpu) == ("fp32", "")
    monkeypatch.setattr("deeplab_core.inference.device._cpu_computes_bf16", lambda: True)
    assert pick_precision("bf16", cpu) == ("bf16", "")
    monkeypatch.setattr("deeplab_core.inference.device._cpu_computes_bf16", lambda: False)
    precision, note = pick_precision("bf16", cpu)
    assert precision == "fp32"
    assert "no bf16 instructions" in note
    assert pick_precision("fp16", cpu) == ("fp32", "fp16 is slow on CPUs; computed in fp32.")


def test_the_list_of_devices_explains_what_is_missing() -> None:
    devices, notes = list_devices()
    assert devices["cpu"].startswith(str(available_cores()))
    assert torch.cuda.is_available() or notes[0].startswith("No CUDA: ")


def test_threads_stay_within_the_cores() -> None:
    assert 1 <= cap_threads() <= available_cores()
    assert torch.get_num_threads() <= available_cores()


def test_what_counts_as_out_of_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("HIP out of memory"))
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))
    assert available_bytes(ComputeDevice("cpu")) > 0


@pytest.mark.gpu
def test_cuda_computes_in_half_precision_by_default() -> None:
    device, note = pick_device("auto")
    assert device.type == "cuda"
    assert note == ""
    assert pick_precision("auto", device)[0] in ("fp16", "fp32")
