"""Every setting, declared once: the dialog, the file and its validation derive from this table."""

from __future__ import annotations

from dataclasses import dataclass

from app.text import mark
from deeplab_core.reading import shorten

Value = bool | int | float | str | list[str] | dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        key: ``"group.name"``, as in the file.
        default: its value unless it was changed; its type is the setting's type.
        group: heading in the settings dialog; empty for a value that the program remembers by itself.
        label: the title in the dialog.
        help: one sentence on what it changes.
        low, high: bounds of a number, both included.
        choices: (value, text) pairs of a choice.
        unit: shown behind a number.
        folder: whether a text is the path of a folder.
        offers: name of a list of choices that only the running window knows; any text is valid.
    """

    key: str
    default: Value
    group: str = ""
    label: str = ""
    help: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    folder: bool = False
    offers: str = ""

    def check(self, value: object) -> Value:
        """The value in this setting's type. Raises ValueError that names the valid values."""
        if isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise ValueError(f"{self.key} is true or false, not {shorten(value)}")
            return value
        if isinstance(self.default, int | float):
            return self._check_number(value)
        if isinstance(self.default, list):
            if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
                raise ValueError(f"{self.key} is a list of texts")
            return list(value)
        if isinstance(self.default, dict):
            return _check_keys(self.key, value)
        if not isinstance(value, str):
            raise ValueError(f"{self.key} is a text, not {shorten(value)}")
        if self.choices and not self.offers and value not in [choice for choice, _ in self.choices]:
            raise ValueError(f"{self.key} is one of {', '.join(choice for choice, _ in self.choices)}, not {shorten(value)}")
        return value

    def _check_number(self, value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self.key} is a number, not {shorten(value)}")
        if isinstance(self.default, int) and value != int(value):
            raise ValueError(f"{self.key} is a whole number, not {shorten(value)}")
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise ValueError(f"{self.key} is between {self.low} and {self.high}, not {shorten(value)}")
        return int(value) if isinstance(self.default, int) else float(value)


def _check_keys(key: str, value: object) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        raise ValueError(f"{key} is a table of command = [keys]")
    for command, keys in value.items():
        if not isinstance(keys, list):
            raise ValueError(f"{key}.{command} is a list of keys")
    return {str(command): [str(shortcut) for shortcut in keys] for command, keys in value.items()}


_APPEARANCE, _CANVAS, _WORK, _MODELS = mark("Appearance"), mark("Image view"), mark("Work"), mark("Models")

SETTINGS: tuple[Setting, ...] = (
    Setting(
        key="appearance.theme",
        default="dark",
        group=_APPEARANCE,
        label=mark("Theme"),
        choices=(("dark", mark("Dark")), ("light", mark("Light")), ("system", mark("Same as system"))),
        help=mark("Dark is easier on the eyes beside bright images"),
    ),
    Setting(
        key="appearance.language",
        default="system",
        group=_APPEARANCE,
        label=mark("Language"),
        choices=(("system", mark("Same as system")),),
        offers="languages",
        help=mark("Language of the window from the next start on; the command line, logs and files stay English"),
    ),
    Setting(
        key="appearance.text_size",
        default="system",
        group=_APPEARANCE,
        label=mark("Text size"),
        choices=(
            ("system", mark("Same as system")),
            ("100", "100 %"),
            ("115", "115 %"),
            ("130", "130 %"),
            ("150", "150 %"),
            ("175", "175 %"),
            ("200", "200 %"),
        ),
        help=mark("Size of texts, rows and icons from the next start on; the system's is that of its font"),
    ),
    Setting(
        key="appearance.reduce_motion",
        default=False,
        group=_APPEARANCE,
        label=mark("Reduce motion"),
        help=mark("Messages, blinking and previews do not fade; nor do they if the system switches animations off"),
    ),
    Setting(
        key="canvas.class_colors",
        default="clear",
        group=_CANVAS,
        label=mark("Class colours"),
        choices=(("clear", mark("Clear")), ("catalog", mark("Catalog"))),
        help=mark("Clear replaces dark, pale and similar colours on screen; exports always have the catalog's colours"),
    ),
    Setting(
        key="canvas.opacity",
        default=50,
        group=_CANVAS,
        label=mark("Overlay opacity"),
        low=5,
        high=100,
        unit="%",
        help=mark("Opacity of the mask over the image; Alt+wheel changes it"),
    ),
    Setting(
        key="canvas.outline",
        default=2,
        group=_CANVAS,
        label=mark("Outline"),
        low=0,
        high=4,
        unit="px",
        help=mark("Width of the outlines of classes; a dark line lies beside them"),
    ),
    Setting(key="canvas.contours", default=True, group=_CANVAS, label=mark("Contours"), help=mark("Draw class borders")),
    Setting(
        key="canvas.names",
        default=True,
        group=_CANVAS,
        label=mark("Class names on the image"),
        help=mark("On large regions and on the one under the pointer; hidden while you paint"),
    ),
    Setting(
        key="canvas.keep_view",
        default=False,
        group=_CANVAS,
        label=mark("Keep zoom between images"),
        help=mark("Useful for sequences; otherwise every image opens fitted to the window"),
    ),
    Setting(
        key="canvas.pen_pressure",
        default=False,
        group=_CANVAS,
        label=mark("Pen pressure controls brush size"),
        help=mark("At full pressure the brush is as wide as its ring; the other end of the pen always erases"),
    ),
    Setting(
        key="work.ask_harmless",
        default=True,
        group=_WORK,
        label=mark("Ask before every folder job"),
        help=mark("If off, jobs that change no mask start at once; jobs that change masks always ask"),
    ),
    Setting(
        key="work.auto_predict",
        default=True,
        group=_WORK,
        label=mark("Run the model on images without a mask"),
        help=mark("Predicts an image without a mask when you open it"),
    ),
    Setting(
        key="work.autosave_seconds",
        default=3,
        group=_WORK,
        label=mark("Autosave delay"),
        low=1,
        high=120,
        unit="s",
        help=mark("Strokes are saved at once; the mask file is rewritten after this delay"),
    ),
    Setting(
        key="work.undo_megabytes",
        default=256,
        group=_WORK,
        label=mark("Memory for undo"),
        low=16,
        high=4096,
        unit="MB",
        help=mark("Undo is limited by this memory, and to 5000 steps of an image; the oldest steps are dropped first"),
    ),
    Setting(
        key="work.cache_megabytes",
        default=2048,
        group=_WORK,
        label=mark("Disk space for predictions, per project"),
        low=64,
        high=1048576,
        unit="MB",
        help=mark("With stored predictions, an image opens without running the model again"),
    ),
    Setting(
        key="work.runs_megabytes",
        default=2048,
        group=_WORK,
        label=mark("Disk space for kept runs, per project"),
        help=mark("A run that does not fit beside the others is not kept; none is removed for it"),
        low=1,
        high=1048576,
        unit="MB",
    ),
    Setting(
        key="model.folder",
        default="",
        group=_MODELS,
        label=mark("Model folder"),
        folder=True,
        help=mark("Models in this folder are listed and downloads go there; if empty, the program's own folder is used"),
    ),
    Setting(
        key="crf.engine",
        default="auto",
        group=_MODELS,
        label=mark("CRF engine"),
        choices=(
            ("auto", mark("Built-in (GPU if available)")),
            ("native", mark("Built-in (CPU)")),
            ("torch", mark("Built-in (torch)")),
            ("pydensecrf", mark("pydensecrf (extra 'crf')")),
        ),
        help=mark("The masks agree on 99.99 % of the pixels; pydensecrf is the common reference and several times slower"),
    ),
    Setting(
        key="work.error_walk",
        default=False,
        group=_WORK,
        label=mark("Next error goes on to the next image by itself"),
        help=mark("Otherwise pressing the key once more does; images that are reviewed or rejected are passed over"),
    ),
    Setting(
        key="work.error_order",
        default="expected_wrong",
        group=_WORK,
        label=mark("Without ground truth, next error by"),
        choices=(
            ("expected_wrong", mark("Most expected errors")),
            ("margin", mark("Smallest margin")),
            ("disagreement", mark("Two models disagree")),
        ),
        help=mark("What is expected to be won: by the confidence, by the lead of the first class, or where two models differ"),
    ),
    # Remembered, not shown in the dialog.
    Setting(key="brush.diameter", default=24, low=1, high=1000),
    Setting(key="canvas.layout", default="single"),
    Setting(key="canvas.error_colors", default="kind", choices=(("kind", mark("By kind")), ("class", mark("By class")))),
    Setting(key="model.path", default=""),
    Setting(key="clicks.model", default=""),
    Setting(key="model.device", default="auto"),
    Setting(key="model.output_stride", default=0, low=0, high=32),
    Setting(key="model.scales", default="1"),
    Setting(key="model.flip", default=False),
    Setting(key="model.threshold", default=0.0, low=0.0, high=1.0),
    Setting(
        key="model.engine",
        default="torch",
        choices=tuple((name, name) for name in ("torch", "auto", "onnx", "openvino", "amx")),
    ),
    Setting(key="model.precision", default="auto", choices=tuple((name, name) for name in ("auto", "fp32", "bf16", "fp16"))),
    Setting(key="compare.models", default=[]),
    Setting(key="compare.files", default=[]),
    Setting(key="crf.params", default=""),
    Setting(key="crf.files", default=[]),
    Setting(key="crf.certainty", default=0.7, low=0.34, high=0.99),
    Setting(key="trimap.width", default=10, low=1, high=40),
    Setting(
        key="trimap.rule",
        default="edge",
        choices=(("edge", mark("Distance to a class edge")), ("void", mark("Distance to void"))),
    ),
    Setting(
        key="trimap.around",
        default="truth",
        choices=(("truth", mark("Around the ground truth")), ("prediction", mark("Around the mask"))),
    ),
    Setting(key="images.sort", default="name"),
    Setting(
        key="evaluation.error_order",
        default="gain_folder",
        choices=tuple((name, name) for name in ("gain_folder", "gain_image", "size")),
    ),
    Setting(key="export.format", default="indexed"),
    Setting(key="export.scope", default="reviewed"),
    Setting(key="export.frame", default="stored", choices=(("stored", mark("As stored")), ("oriented", mark("As displayed")))),
    Setting(key="folders.recent", default=[]),
    Setting(key="tour.step", default=0, low=0, high=99),
    Setting(key="keys", default={}),
    Setting(key="keyboard.printed", default={}),
)

BY_KEY: dict[str, Setting] = {setting.key: setting for setting in SETTINGS}
