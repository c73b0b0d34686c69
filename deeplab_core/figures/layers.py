"""Figures of layers alone: no weights, no image. Receptive fields, gridding, and rates that outgrow the map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deeplab_core.figures.record import DrawnFigure, FigureInputs
from deeplab_core.figures.style import RAMP, SERIES, panels
from deeplab_core.nn import LayerField, receptive_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def reach(rates: Sequence[int], kernel: int = 3) -> list[NDArray[np.int64]]:
    """Paths from each input pixel to the central output of a stack of convolutions of stride 1, after 1, 2, ... layers.

    Args:
        rates: atrous rate of each layer.
        kernel: odd side of every kernel.

    Returns:
        For each depth (S, S) counts, S = 1 + sum of rate * (kernel - 1); 0 where no path leads.
    """
    found: list[NDArray[np.int64]] = []
    paths = np.ones((1, 1), dtype=np.int64)
    for rate in rates:
        margin = rate * (kernel - 1)
        wider = np.zeros((paths.shape[0] + margin, paths.shape[1] + margin), dtype=np.int64)
        for row in range(0, margin + 1, rate):
            for column in range(0, margin + 1, rate):
                wider[row : row + paths.shape[0], column : column + paths.shape[1]] += paths
        found.append(wider)
        paths = wider
    return found


def receptive_field(inputs: FigureInputs) -> DrawnFigure:
    """The pixels that a stack of atrous convolutions sees, layer by layer; or the field of a network along its layers."""
    if inputs.network is not None:
        return _network_field(inputs)
    rates = inputs.rates
    counts = reach(rates)
    figure, axes = panels(len(rates))
    side = counts[-1].shape[0]
    rows = []
    for depth, (axis, paths) in enumerate(zip(axes[0], counts, strict=True), start=1):
        margin = (side - paths.shape[0]) // 2
        seen = np.pad(paths > 0, margin)
        axis.imshow(seen, cmap=RAMP, vmin=0.0, vmax=1.6, interpolation="nearest")
        axis.set_title("rate " + ", ".join(map(str, rates[:depth])))
        _pixel_grid(axis, side)
        span = paths.shape[0]
        axis.set_xlabel(f"sees {span} x {span} px")
        rows.append(
            {"layer": depth, "rate": rates[depth - 1], "span_px": span, "pixels_seen": int((paths > 0).sum()), "kernel": 3}
        )
    return DrawnFigure(figure=figure, rows=rows, parameters={"rates": list(rates), "kernel": 3})


def _pixel_grid(axis: Axes, side: int) -> None:
    axis.set_xticks(np.arange(side + 1) - 0.5, labels=[])
    axis.set_yticks(np.arange(side + 1) - 0.5, labels=[])
    axis.tick_params(length=0)
    axis.grid(color="#d0d0d0", linewidth=0.4)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _network_field(inputs: FigureInputs) -> DrawnFigure:
    assert inputs.network is not None
    model = inputs.network.model
    fields = receptive_layers(model)
    window = [field for field in fields[:-1] if field.kind in ("Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d")]
    figure, axes = panels(1, width=6.4, height=3.2)
    axis = axes[0, 0]
    axis.step(range(1, len(window) + 1), [field.span for field in window], where="post", color=SERIES[0])
    axis.axhline(513, color="#808080", linewidth=0.8, linestyle=":")
    axis.text(1, 513, " 513 px, the usual training crop", va="bottom", fontsize=8, color="#505050")
    axis.set_xlabel("convolution or pooling, in the order in which it runs")
    axis.set_ylabel("receptive field, px")
    axis.set_title(f"{inputs.network.name}, output stride {model.output_stride}")
    axis.set_ylim(bottom=0)
    return DrawnFigure(
        figure=figure,
        rows=[_row(number, field) for number, field in enumerate(window, start=1)],
        parameters={"network": inputs.network.name, "output_stride": model.output_stride, "radius_px": model.receptive_radius()},
    )


def _row(number: int, field: LayerField) -> dict[str, object]:
    return {
        "layer": number, "name": field.name, "kind": field.kind, "jump_px": field.jump, "radius_px": field.radius,
        "span_px": field.span,
    }  # fmt: skip


def gridding(inputs: FigureInputs) -> DrawnFigure:
    """Equal rates leave holes; the multi-grid of the same depth does not."""
    stacks = {"equal rates": (2, 2, 2), "multi-grid": tuple(inputs.rates)}
    figure, axes = panels(len(stacks), width=3.0, height=3.2)
    rows = []
    for axis, (name, rates) in zip(axes[0], stacks.items(), strict=True):
        paths = reach(rates)[-1]
        shares = paths / paths.sum()
        axis.imshow(np.ma.masked_equal(shares, 0.0), cmap=RAMP, vmin=0.0, vmax=float(shares.max()), interpolation="nearest")
        _pixel_grid(axis, paths.shape[0])
        unseen = float((paths == 0).mean())
        axis.set_title(f"{name} {', '.join(map(str, rates))}")
        axis.set_xlabel(f"{unseen:.0%} of {paths.shape[0]} x {paths.shape[0]} px unseen")
        rows.append(
            {
                "stack": name,
                "rates": " ".join(map(str, rates)),
                "span_px": paths.shape[0],
                "pixels_seen": int((paths > 0).sum()),
                "unseen_share": round(unseen, 6),
            }
        )
    return DrawnFigure(figure=figure, rows=rows, parameters={"kernel": 3})


def valid_weights(rate: int, side: int, kernel: int = 3) -> NDArray[np.int64]:
    """(side, side) number of kernel weights that fall inside the map, for an atrous convolution with zero padding."""
    offsets = rate * (np.arange(kernel) - kernel // 2)
    places = np.arange(side)[:, None] + offsets[None, :]
    inside = ((places >= 0) & (places < side)).sum(axis=1)
    valid: NDArray[np.int64] = np.multiply.outer(inside, inside)
    return valid


def large_rates(inputs: FigureInputs) -> DrawnFigure:  # noqa: ARG001  (nothing is asked for)
    """Share of positions at which 1, 2, 3, 4, 6 or 9 weights of a 3x3 kernel are valid, by rate."""
    side = 65
    rates = np.arange(1, 101)
    counts = {
        number: np.array([(valid_weights(int(rate), side) == number).mean() for rate in rates]) for number in (1, 2, 3, 4, 6, 9)
    }
    figure, axes = panels(1, width=6.0, height=3.2)
    axis = axes[0, 0]
    shown = [1, 4, 9]
    for colour, number in zip(SERIES, shown, strict=False):
        axis.plot(rates, counts[number], color=colour, label=f"{number} valid weight{'s' if number > 1 else ''}")
    axis.set_xlabel("rate of the convolution")
    axis.set_ylabel("share of positions")
    axis.set_ylim(0, 1.02)
    axis.set_title(f"3x3 convolution on a {side} x {side} map")
    axis.legend(loc="center right")
    rows = [
        {"rate": int(rate), **{f"share_{number}_valid": round(float(counts[number][place]), 6) for number in counts}}
        for place, rate in enumerate(rates)
    ]
    return DrawnFigure(figure=figure, rows=rows, parameters={"side": side, "kernel": 3})
