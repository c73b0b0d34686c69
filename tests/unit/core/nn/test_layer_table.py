"""The table of layers adds up to the counts that papers state."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deeplab_core.nn import count_multiply_adds, count_parameters, create_model, model_names
from deeplab_core.nn.count import layer_table


@pytest.mark.parametrize("name", model_names())
def test_rows_add_up(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=3).eval()
    side = model.minimum_side + 64
    rows = layer_table(model, (side, side))
    assert sum(row.multiply_adds for row in rows) == count_multiply_adds(model, (side, side))
    assert len({row.name for row in rows}) == len(rows)
    # What only training runs, and parameters that belong to no layer, are all that may be missing.
    assert 0.7 * count_parameters(model) < sum(row.parameters for row in rows) <= count_parameters(model)


@pytest.mark.parametrize(("stride", "rate"), [(16, 2), (8, 4)])
def test_a_row_says_how_its_layer_runs(stride: int, rate: int) -> None:
    options: dict[str, Any] = {"backbone": "mobilenet_v2", "output_stride": stride, "atrous_rates": []}
    model = create_model("deeplabv3", num_classes=7, **options).eval()
    rows = layer_table(model, (129, 97))
    stem, last = rows[0], rows[-1]
    assert (stem.kind, stem.channels, stem.kernel, stem.stride, stem.output) == ("Conv2d", (3, 32), (3, 3), (2, 2), (65, 49))
    assert stem.multiply_adds == 65 * 49 * 27 * 32
    assert last.channels[1] == 7
    assert max(row.rate[0] for row in rows) == rate
    assert any(row.groups == row.channels[0] > 1 for row in rows)
    assert model.training is False
