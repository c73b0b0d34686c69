"""What a run writes down: a CSV with one row per epoch, and TensorBoard events where it is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deeplab_core.atomic import atomic_write


class RunLog:
    """``log.csv`` and, if the package tensorboard is there and wanted, its events, in one folder."""

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self._path = folder / "log.csv"
        self._writer: Any = None
        if tensorboard and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def write(self, history: Sequence[dict[str, Any]]) -> None:
        """Write all epochs; the file is rewritten whole, so that a resumed run leaves no gap and no double row."""
        columns: dict[str, None] = {}
        for row in history:
            columns.update(dict.fromkeys(_flat(row)))
        text = io.StringIO()
        table = csv.DictWriter(text, list(columns), lineterminator="\n")
        table.writeheader()
        table.writerows(_flat(row) for row in history)
        atomic_write(self._path, text.getvalue().encode())
        if self._writer is not None and history:
            step = int(history[-1]["step"])
            for name, value in _flat(history[-1]).items():
                if isinstance(value, (int, float)) and name != "step":
                    self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Finish the events file."""
        if self._writer is not None:
            self._writer.close()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat.update({f"{name}/{key}": part for key, part in _flat(value).items()})
        else:
            flat[name] = value
    return flat
