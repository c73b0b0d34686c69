"""One look for all figures, and files that are the same again on the same machine and versions."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.atomic import atomic_write
from deeplab_core.errors import AtrousError, message
from deeplab_core.figures.record import DrawnFigure, FigureSpec
from deeplab_core.flavour import install_command

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of series: Okabe and Ito 2008, told apart by colour-blind readers; black and yellow left out.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
#: From white to dark, for counts and activations: one hue, so that grey prints keep the order.
RAMP = "Blues"
_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "figure.dpi": 144,
    "savefig.dpi": 144,
    "svg.hashsalt": "atrous",  # ids in the SVG are random without it
    "svg.fonttype": "path",
    "legend.frameon": False,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with the settings of this module.

    Raises:
        AtrousError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise AtrousError(
            message("figures need matplotlib"), remedy=message("Install it: {command}", command=install_command("figures"))
        ) from error
    with mpl.rc_context({"backend": "agg", **_SETTINGS}):
        yield


def panels(columns: int, rows: int = 1, *, width: float = 2.3, height: float = 2.5) -> tuple[Figure, NDArray[Any]]:
    """An empty figure with a grid of axes, (rows, columns) of them; sizes in inches per panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(3.2, width * columns), height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, axes


def show_picture(axes: Axes, picture: NDArray[Any], title: str, *, ramp: str | None = None, note: str = "") -> None:
    """One picture without ticks: (H, W, 3) uint8, or (H, W) numbers through a colour ramp from 0 to their largest."""
    if ramp is None:
        axes.imshow(picture, interpolation="nearest")
    else:
        axes.imshow(picture, interpolation="nearest", cmap=ramp, vmin=0.0, vmax=max(1e-12, float(np.max(picture))))
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if note:
        axes.set_xlabel(note)


def write_figure(spec: FigureSpec, drawn: DrawnFigure, folder: Path) -> tuple[Path, ...]:
    """Write ``NAME.png``, ``NAME.svg``, ``NAME.csv`` (numbers) and ``NAME.json`` (with caption, source, parameters, versions).

    Measured times go to ``NAME.times.json``: all other files are byte for byte the same again.
    """
    import csv

    import matplotlib as mpl
    import torch

    files: dict[str, bytes] = {}
    for kind, metadata in (("png", {"Software": "Atrous"}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        drawn.figure.savefig(buffer, format=kind, metadata=metadata)
        files[kind] = buffer.getvalue()
    table = io.StringIO()
    if drawn.rows:
        writer = csv.DictWriter(table, fieldnames=list(drawn.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(drawn.rows)
    files["csv"] = table.getvalue().encode()
    about = {
        "name": spec.name,
        "title": spec.title,
        "caption": spec.caption,
        "source": spec.source,
        "parameters": dict(drawn.parameters),
        "versions": {"matplotlib": mpl.__version__, "numpy": np.__version__, "torch": torch.__version__},
        "rows": drawn.rows,
    }
    files["json"] = (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()
    if drawn.times:
        files["times.json"] = (json.dumps(dict(drawn.times), indent=1) + "\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for ending, data in files.items():
        path = folder / f"{spec.name}.{ending}"
        atomic_write(path, data)
        written.append(path)
    return tuple(written)
