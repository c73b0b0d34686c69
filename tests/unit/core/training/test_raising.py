"""A run can be made longer when it continues, and reports what that does to its rate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deeplab_core.errors import AtrousError
from deeplab_core.training import SegmentationDataset
from deeplab_core.training.schedule import poly_rate
from deeplab_core.training.state import RunState
from tests.unit.core.training.made_data import RECIPE, dataset, make_folder
from tests.unit.core.training.test_trainer import Notes, same, trainer, weights

SHORT = replace(RECIPE, steps=0, epochs=2)


@pytest.fixture
def data(tmp_path: Path) -> SegmentationDataset:
    return dataset(make_folder(tmp_path / "data"))


def test_a_finished_run_goes_on_with_more_epochs(data: SegmentationDataset, tmp_path: Path) -> None:
    trainer(SHORT, data, tmp_path / "run").run()
    notes = Notes()
    longer = trainer(replace(SHORT, epochs=4), data, tmp_path / "run", notes)
    longer.resume()
    assert notes.said == ["raised from 4 to 8 steps; the rate goes on at 0.0107 (it was 0.00574), as in a run of that length"]
    outcome = longer.run()
    assert outcome.step == 8
    rows = [(row["step"], row["steps"], row["rate"]) for row in outcome.history]
    assert [row[:2] for row in rows] == [(2, 4), (4, 4), (6, 8), (8, 8)]
    # From the step on at which it was raised the rate is that of a run of the new length.
    assert rows[2][2] == pytest.approx(SHORT.rate * poly_rate(5, 8))
    assert RunState.read(longer.state_path).raised == [{"step": 4, "from": 4, "to": 8}]
    assert "epochs = 4" in (tmp_path / "run" / "recipe.toml").read_text()
    assert (tmp_path / "run" / "log.csv").read_text().splitlines()[-1].startswith("4,8,8,")


def test_a_raised_run_that_is_stopped_again_goes_on_exactly(data: SegmentationDataset, tmp_path: Path) -> None:
    for name in ("one", "two"):
        trainer(SHORT, data, tmp_path / name).run()
    long = replace(SHORT, epochs=5)
    unbroken = trainer(long, data, tmp_path / "one")
    unbroken.resume()
    unbroken.run()
    notes = Notes()
    part = trainer(long, data, tmp_path / "two", notes, stop=lambda: len(notes.losses) >= 3)
    part.resume()
    assert part.run().model_path is None
    again = trainer(long, data, tmp_path / "two", notes)
    again.resume()
    assert sum("raised" in line for line in notes.said) == 1, "the length is that of the state now"
    again.run()
    assert same(weights(tmp_path / "one" / "model.safetensors"), weights(tmp_path / "two" / "model.safetensors"))


def test_a_run_cannot_become_shorter(data: SegmentationDataset, tmp_path: Path) -> None:
    trainer(SHORT, data, tmp_path / "run").run()
    with pytest.raises(AtrousError, match="4 steps, which can be raised but not reduced to 2"):
        trainer(replace(SHORT, epochs=1), data, tmp_path / "run").resume()
    # Nor by a state that does not say how long its run was.
    state = RunState.read(tmp_path / "run" / "state.safetensors")
    state.steps = 0
    state.write(tmp_path / "run" / "state.safetensors")
    with pytest.raises(AtrousError, match="4 steps"):
        trainer(replace(SHORT, steps=3), data, tmp_path / "run").resume()
    trainer(replace(SHORT, steps=7), data, tmp_path / "run").resume()
