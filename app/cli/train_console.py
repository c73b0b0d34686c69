"""What ``atrous train`` says while it works."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.console import emit
from app.cli.terminal import LiveBar, is_live, say
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.training.dataset import TrainingData


class SilentTraining:
    """A process that does not lead."""

    def reading(self, done: int, total: int) -> None: ...
    def step(self, step: int, steps: int, loss: float, rate: float) -> None: ...
    def epoch(self, row: dict[str, Any]) -> None: ...
    def note(self, text: str) -> None: ...
    def remarks(self, data: TrainingData, name: str) -> None: ...
    def close(self) -> None: ...
    def summary(
        self, out: Path, model: Path | None, history: list[dict[str, Any]], skipped: int, truth: list[dict[str, Any]]
    ) -> None: ...


class TrainingConsole(SilentTraining):
    """A bar on a terminal, one line per epoch otherwise."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._last_time = time.monotonic()
        self._bar = LiveBar("reading images").start() if is_live() else None

    def reading(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.show(done, total)

    def step(self, step: int, steps: int, loss: float, rate: float) -> None:
        if self._bar is not None:
            self._bar.show(step, steps, title=f"loss {loss:.3f}, rate {rate:.4f}")
        elif time.monotonic() - self._last_time >= 60:
            self._last_time = time.monotonic()
            self.note(f"step {step}/{steps}  loss {loss:.4f}  rate {rate:.5f}")

    def epoch(self, row: dict[str, Any]) -> None:
        if self._json:
            emit("epoch", **row)
        text = f"epoch {row['epoch']}  step {row['step']}  loss {row['loss']:.4f}"
        if "val" in row:
            found = row["val"]
            band = next(value for key, value in found.items() if key.startswith("band_"))
            text += f"  mIoU {found['mean_iou']}  band {band}"
        self.note(f"{text}  {row['seconds'] / 60:.1f} min")

    def note(self, text: str) -> None:
        if self._bar is None:
            say(text, err=True)
        else:
            self._bar.note(text)

    def remarks(self, data: TrainingData, name: str) -> None:
        """What the masks look wrong in and what was scaled or left out, before hours of training."""
        for line in data.remarks():
            self.note(f"{name} data: {line}")
        if self._json:
            emit("data", data=name, **data.remarks_dict())

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def summary(
        self, out: Path, model: Path | None, history: list[dict[str, Any]], skipped: int, truth: list[dict[str, Any]]
    ) -> None:
        """The last words of a run."""
        found: dict[str, Any] = next((row["val"] for row in reversed(history) if "val" in row), {})
        if self._json:
            emit(
                "summary", output=out, model=model, skipped=skipped, validation=found, ground_truth=truth, process=os.getpid()
            )  # fmt: skip
        elif model is None:
            say(f"stopped; the state is saved. Continue with 'atrous train --resume -o {out}'", err=True)
        else:
            left_out = f", {count(skipped, 'file')} skipped" if skipped else ""
            say(f"{model}: mIoU {found.get('mean_iou', 'not validated')}{left_out}")
