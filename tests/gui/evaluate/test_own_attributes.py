"""The user's own attributes in the window: a table is kept with the project, its columns become slices with n and interval."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint
from PySide6.QtGui import QHelpEvent, Qt, QTextDocumentFragment
from PySide6.QtWidgets import QApplication, QFileDialog, QToolTip

from app.controllers.evaluate import attributes
from app.state.attributes import own_slices, table_names
from app.ui.evaluate.presenter import EvaluationPresenter
from app.ui.evaluate.slice_bars import SliceBars
from app.ui.shell.theme import load_theme
from app.viewmodels.evaluate.error_list import ComponentQuery, OwnSlice
from app.viewmodels.evaluate.failure_table import SliceBar, SliceChart
from tests.gui.evaluate.test_evaluation_view import run_folder
from tests.gui.studio import Studio


def charts(shown: EvaluationPresenter) -> dict[str, SliceBars]:
    return {
        bars.accessibleName().partition(",")[0]: bars for bars in shown.failures.findChildren(SliceBars) if not bars.isHidden()
    }


def choose(studio: Studio, shown: EvaluationPresenter, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    shown.view.show_page("Failures")
    action = next(one for one in shown.failures.tables.menu().actions() if one.text() == "Choose a table…")
    action.trigger()
    studio.settle()


def names(studio: Studio) -> list[str]:
    return [record.relative_path for record in studio.program.session.project.images]


def test_columns_of_a_table_become_slices(studio: Studio, folder, tmp_path: Path, monkeypatch) -> None:
    shown = run_folder(studio, folder)
    images, table = names(studio), tmp_path / "rooms.csv"
    lines = ["image,weather", *(f"{name},{'rain' if place < 3 else 'sun'}" for place, name in enumerate(images))]
    table.write_text("\n".join(lines))
    choose(studio, shown, table, monkeypatch)
    studio.wait(lambda: "weather" in charts(shown))
    bars = charts(shown)["weather"]
    chart = lambda: {bar.label: bar for bar in bars._chart.bars}  # noqa: E731 - what is painted
    assert {label: bar.count for label, bar in chart().items()} == {"rain": 3, "sun": 1}
    studio.wait(lambda: chart()["rain"].low == chart()["rain"].low)  # the interval is there, not nan
    bars.chosen.emit(chart()["rain"].within)
    studio.settle()
    query = shown.components.query
    assert query.within == OwnSlice("weather", "rain")
    assert shown.components.title.text() == "weather: rain"
    assert {studio.program.session.project.record(int(one.image)).relative_path for one in shown.components.components} <= set(
        images[:3]
    )
    assert shown.components.components
    shown.view.show_page("Plots")
    studio.settle()
    plots = shown.pages.plots
    plots.list.setCurrentRow(studio.program.plots.names.index("Your attributes"))
    studio.wait(lambda: plots.view.chart is not None and plots.view.chart.title == "Your attributes" and plots.view.chart.series)
    (series,) = plots.view.chart.series
    assert [text for _, text in plots.view.chart.y_ticks] == ["weather: rain, n 3", "weather: sun, n 1"]
    assert series.low[0] <= series.y[0] <= series.high[0]
    # It is kept with the project: after the table is gone, and after the folder was opened again.
    table.unlink()
    assert list(table_names(studio.program.session.project).values()) == ["rooms.csv"]
    studio.program.projects.close()
    studio.open(folder)
    studio.wait(lambda: studio.program.attributes.own is not None)
    studio.program.attributes.remove("1.csv")
    studio.settle()
    assert studio.program.attributes.own is None
    assert table_names(studio.program.session.project) == {}


def test_a_table_of_objects(studio: Studio, folder, tmp_path: Path, monkeypatch) -> None:
    shown = run_folder(studio, folder)
    table = tmp_path / "objects.csv"
    table.write_text("\n".join(["image,x,y,material", *(f"{name},5,30,wool" for name in names(studio))]))
    choose(studio, shown, table, monkeypatch)
    studio.wait(lambda: "material" in charts(shown))
    (bar,) = charts(shown)["material"]._chart.bars
    assert (bar.label, bar.count) == ("wool", 4)
    errors = studio.program.inspect.components(ComponentQuery(within=bar.within))
    assert {one.truth for one in errors} >= {15}


def test_a_table_of_close_numbers_does_not_break_the_page(studio: Studio, folder, tmp_path: Path, monkeypatch) -> None:
    shown = run_folder(studio, folder)
    table = tmp_path / "places.csv"
    table.write_text("\n".join(["image,latitude", *(f"{name},52.5199{place}" for place, name in enumerate(names(studio)))]))
    choose(studio, shown, table, monkeypatch)
    studio.wait(lambda: "latitude" in charts(shown))
    assert [bar.label for bar in charts(shown)["latitude"]._chart.bars] == ["52.5199", "52.51991", "52.51992", "52.51993"]


def held(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """The next read of tables sets the first event, and has its answer once the second one is set."""
    began, go_on = threading.Event(), threading.Event()

    def read(*args: object) -> object:
        monkeypatch.setattr(attributes, "own_slices", own_slices)
        found = own_slices(*args)
        began.set()
        assert go_on.wait(60)
        return found

    monkeypatch.setattr(attributes, "own_slices", read)
    return began, go_on


def test_a_removed_table_does_not_come_back_with_an_older_read(studio: Studio, folder, tmp_path: Path, monkeypatch) -> None:
    run_folder(studio, folder)
    table = tmp_path / "rooms.csv"
    table.write_text("\n".join(["image,weather", *(f"{name},rain" for name in names(studio))]))
    began, go_on = held(monkeypatch)
    studio.program.attributes.choose(table)
    studio.wait(began.is_set)
    studio.program.attributes.remove("1.csv")
    go_on.set()
    studio.settle()
    assert studio.program.attributes.own is None


def test_the_newest_read_counts_and_says_what_was_kept(studio: Studio, folder, tmp_path: Path, monkeypatch) -> None:
    run_folder(studio, folder)
    for column in ("weather", "floor"):
        lines = [f"image,{column}", *(f"{name},rain" for name in names(studio))]
        (tmp_path / f"{column}.csv").write_text("\n".join(lines))
    began, go_on = held(monkeypatch)
    studio.program.attributes.choose(tmp_path / "weather.csv")
    studio.wait(began.is_set)
    studio.program.attributes.choose(tmp_path / "floor.csv")
    studio.program.attributes.read()  # as for other ground truth
    go_on.set()
    studio.settle()
    assert [axis.name for axis in studio.program.attributes.own.image_axes] == ["weather", "floor"]
    assert any(title.startswith("floor.csv is kept") for title in studio.titles())


def test_a_table_that_cannot_be_used_is_refused_and_not_kept(studio: Studio, folder, tmp_path: Path, monkeypatch) -> None:
    shown = run_folder(studio, folder)
    table = tmp_path / "bad.csv"
    table.write_text("picture,weather\na,rain\n")
    choose(studio, shown, table, monkeypatch)
    assert any("attributes cannot be used" in title for title in studio.titles())
    assert table_names(studio.program.session.project) == {}


@pytest.mark.parametrize("name", ["Objects by size", "Pixels by distance"])
def test_plots_of_slices_have_intervals(studio: Studio, folder, name: str) -> None:
    shown = run_folder(studio, folder)
    shown.view.show_page("Plots")
    plots = shown.pages.plots
    plots.list.setCurrentRow(studio.program.plots.names.index(name))
    studio.wait(lambda: plots.view.chart is not None and plots.view.chart.series)
    series = plots.view.chart.series[0]
    assert len(series.low) == len(series.y)
    assert any(low <= value <= high for low, value, high in zip(series.low, series.y, series.high, strict=True))


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_a_label_with_signs_of_markup_is_shown_as_it_is(qtbot, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    texts: list[str] = []
    monkeypatch.setattr(QToolTip, "showText", lambda _at, text, _widget: texts.append(text))
    query = ComponentQuery(within=OwnSlice("place", "R&D"))
    bar = SliceBar("R&D", value, 3, False, "3 images", query.within)
    chart = SliceBars(load_theme("light"), SliceChart("place", "of all & more", "IoU", (bar,)))
    qtbot.addWidget(chart)
    chart.show()
    for place, text in ((chart.bar_rect(0).center(), "R&D: 3 images"), (QPoint(1, 1), "of all & more")):
        QApplication.sendEvent(chart, QHelpEvent(QEvent.Type.ToolTip, place, chart.mapToGlobal(place)))
        shown = texts[-1]
        plain = QTextDocumentFragment.fromHtml(shown).toPlainText() if Qt.mightBeRichText(shown) else shown
        assert plain.partition("\n")[0] == text
