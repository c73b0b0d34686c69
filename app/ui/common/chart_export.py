"""A plot as a file: PNG, SVG, or its numbers as CSV. Written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice
from PySide6.QtGui import QImage, QImageWriter, QPainter
from PySide6.QtSvg import QSvgGenerator

from app.ui.common.chart_view import ChartView
from app.viewmodels.evaluate.charts import csv_text
from deeplab_core.atomic import atomic_write, refuse_picture
from deeplab_core.errors import StorageError, message
from deeplab_core.masks.png import marked

#: File endings, in the order in which they are offered.
ENDINGS = (".png", ".svg", ".csv")
#: Pictures have so many pixels for one of the screen's: sharp in print.
_SHARP = 2


def export_chart(view: ChartView, path: Path) -> None:
    """Write what a view shows.

    Raises:
        StorageError: the ending is none of :data:`ENDINGS`, there is nothing to write, or the file cannot be written.
            ProtectedFile: a photograph or a mask has this name.
    """
    if view.chart is None or view.chart.empty:
        raise StorageError(
            message("there is nothing to export"),
            why=message("The plot is empty"),
            remedy=message("Evaluate the folder first"),
            path=path,
        )
    makers = {".png": _png, ".svg": _svg, ".csv": _csv}
    make = makers.get(path.suffix.lower())
    if make is None:
        raise StorageError(
            message("unsupported file type for a plot"),
            remedy=message("Choose one of {endings}", endings=", ".join(ENDINGS)),
            path=path,
        )
    refuse_picture(path, masks_only=path.suffix.lower() == ".png")
    atomic_write(path, make(view))


def png_of(image: QImage) -> bytes:
    """A picture as a PNG file marked as written by this program. Raises StorageError if it cannot be encoded."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not QImageWriter(buffer, QByteArray(b"PNG")).write(image):
        raise StorageError(message("the picture could not be written"), remedy=message("Try again with a smaller window"))
    return b"".join(marked(bytes(data.data())))


def _png(view: ChartView) -> bytes:
    image = QImage(view.size() * _SHARP, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(_SHARP)
    image.fill(0)
    painter = QPainter(image)
    view.draw_on(painter)
    painter.end()
    return png_of(image)


def _svg(view: ChartView) -> bytes:
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(view.size())
    generator.setResolution(view.logicalDpiX())  # recorded parts of the plot are replayed at this resolution
    generator.setViewBox(view.rect())
    generator.setTitle("" if view.chart is None else view.chart.title)
    painter = QPainter(generator)
    view.draw_on(painter)
    painter.end()
    return bytes(data.data())


def _csv(view: ChartView) -> bytes:
    assert view.chart is not None
    return csv_text(view.chart.table()).encode("utf-8-sig")  # spreadsheets take it for UTF-8 only with the mark
