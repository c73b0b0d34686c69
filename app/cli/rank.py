"""``atrous rank``: which images to look at first, and which labels of a truth seem wrong, by what a model is unsure of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import ProgressReporter, RenamedOption, ReportingCommand, overwrite_option, progress, write_json
from app.cli.ground_truth import CommandTruth, named_truth
from app.cli.model_choice import model_option, model_options, refuse_threshold, report_model, resolve_model, threshold_option
from app.cli.options import (
    CRF_HELP,
    TruthOptions,
    crf_engine_option,
    engine_option,
    json_option,
    network_options,
    parse_crf,
    truth_options,
)
from app.cli.predict import parse_scales
from app.cli.predict_run import pixels_of, settle_engine
from app.cli.rankings import gain_lines, place_text, ranking_lines, with_old_key
from app.cli.read_ahead import read_ahead
from app.cli.terminal import say
from app.services.folders import engine_trials_file
from deeplab_core.errors import AtrousError, MaskFormatError, one_image
from deeplab_core.notes import RunNotes
from deeplab_core.printable import one_line
from deeplab_core.wording import count

if TYPE_CHECKING:
    from concurrent.futures import Future

    from deeplab_core.analysis import FolderAnalysis
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.datasets.sidecars import SidecarFiles
    from deeplab_core.images import ImageData
    from deeplab_core.inference import Predictor
    from deeplab_core.inference.ranking_predictor import RankingPredictor
    from deeplab_core.labels import LabelMap
    from deeplab_core.masks.frames import Frame
    from deeplab_core.records import CRFEngine, CRFParams, EngineChoice, Precision, PredictOptions

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
#: What the JSON of ``atrous doubt``, the name of this command in version 0.1, calls its format.
_OLD_FORMAT = "atrous-doubt-1"


class _Score(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """The name of a ranking score of a prediction, or one of an earlier version."""

    name = "score"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name of today; BadParameter for one that does not exist."""
        from deeplab_core.analysis.ranking import OF_PREDICTION, ranking_name

        try:
            name = ranking_name(value)
        except KeyError:
            name = ""
        if name not in OF_PREDICTION:
            self.fail(f"'{value}' is not a ranking score; these are: {', '.join(OF_PREDICTION)}", param, ctx)
        return name


@click.command("rank", cls=ReportingCommand)
@click.argument("images", metavar="IMAGES", type=_FOLDER)
@model_option
@model_options
@click.option("--second-model", "second_name", metavar="NAME_OR_FILE", help="Also rank by disagreement with another model.")
@click.option("--crf", callback=parse_crf, is_flag=False, flag_value="v1", default=None, metavar="[PRESET]",
              help=f"Also rank by what a CRF changes. {CRF_HELP}")  # fmt: skip
@crf_engine_option
@click.option("--flip", is_flag=True, help="Average with the mirrored image, and rank by disagreement of the passes.")
@click.option(
    "--scales",
    callback=parse_scales,
    default="1",
    show_default=True,
    help="Average over these relative sizes, and rank by disagreement of the passes.",
)
@threshold_option
@truth_options(
    "Ground truth, masks with the same names: shows how well each ranking finds the wrong pixels",
    catalog_help="Classes of the ids in --truth [default: recognised from the masks; the model's if only the values fit]",
)
@click.option("--ambiguous", metavar="DIR", type=_FOLDER, help="Folder of NAME.ambiguous.json: regions that are not scored.")
@click.option("--label-errors", is_flag=True, help="List possible label errors in --truth.")
@click.option(
    "--ranking", "rankings", metavar="SCORE", multiple=True, type=_Score(), cls=RenamedOption, old="--order",
    help="List the ranking by this score only; may be repeated. Scores: confidence, least_certain, expected_wrong, margin, "
    "entropy, passes, disagreement, crf.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(1, 100_000), default=10, show_default=True, help="How many images and regions to list."
)
@network_options
@engine_option
@json_option()
@overwrite_option
def rank(
    images: Path,
    model_name: str,
    second_name: str | None,
    *,
    options_of_model: dict[str, Any],
    crf: CRFParams | None,
    crf_engine: CRFEngine,
    flip: bool,
    scales: tuple[float, ...],
    threshold: float | None,
    truth: TruthOptions,
    ambiguous: Path | None,
    label_errors: bool,
    rankings: tuple[str, ...],
    top: int,
    output_stride: int | None,
    device: str,
    precision: Precision,
    engine: EngineChoice,
    json_file: Path | None,
) -> int:
    """Run a model over a folder and rank its images for review, worst first.

    Scores: confidence, margin and entropy of the model; disagreement of its passes (--flip, several --scales), of two models
    (--second-model), or of model and CRF (--crf). No ground truth is needed; with --truth the table shows how well each ranking
    finds the wrong pixels, and --label-errors lists possible errors of the ground truth.

    Exit status 1 means that some files could not be measured; the figures are those of the rest.
    """
    _check_usage(rankings, truth, ambiguous, label_errors, {
        "passes": flip or len(scales) > 1, "disagreement": second_name is not None, "crf": crf is not None
    })  # fmt: skip
    from deeplab_core.datasets.find import scan_folder
    from deeplab_core.records import PredictOptions

    scan = scan_folder(images)
    names = list(scan.images)
    for sentence in scan.left_out():
        say(f"note: {sentence}", err=True)
    if not names:
        raise click.UsageError(f"no image found in {images}; give a folder that holds some")
    options = PredictOptions(
        output_stride=output_stride, scales=scales, flip=flip, device=device, precision=precision, crf=crf,
        crf_engine=crf_engine, threshold=threshold, engine=engine,
    )  # fmt: skip
    model_path, second_path = resolve_model(model_name), None if second_name is None else resolve_model(second_name)
    from deeplab_core.analysis import FolderAnalysis
    from deeplab_core.analysis.summary import ranking_to_dict
    from deeplab_core.inference.ranking_predictor import RankingPredictor

    paths = [images / name for name in names]
    predictor = _predictor(model_path, options, paths, options_of_model)
    second = None if second_path is None else _predictor(second_path, replace(options, threshold=None), paths, options_of_model)
    ground = _ground_truth(images, names, truth, predictor.card.catalog)
    meter = RankingPredictor(predictor, None if ground is None else ground.catalog, second)
    if meter.labels_only and label_errors:
        raise click.UsageError("--label-errors needs a model that knows how sure it is; this graph gives labels only")
    found = _Ranked(FolderAnalysis(meter.catalog))
    labels = _Truth(images, names, truth, ambiguous, meter.catalog)
    if ground is not None:
        ground.report()
    found.failures += labels.problems
    _measure_all(images, names, meter, labels, found)
    say("\n".join(_report(found, predictor.card.name, labels, rankings, top, label_errors=label_errors)))
    if json_file is not None:
        about = {
            "model": {"id": predictor.card.id, "name": predictor.card.name},
            "second_model": None if second is None else {"id": second.card.id, "name": second.card.name},
            "options": {
                "output_stride": output_stride,
                "scales": list(scales),
                "flip": flip,
                "crf": _crf_values(crf),
                "engine": predictor.options.engine,
            },
        }
        if ground is not None:
            about["ground_truth"] = ground.to_dict()
        data = with_old_key(ranking_to_dict(found.analysis, found.failures, label_errors=label_errors))
        layout = _OLD_FORMAT if click.get_current_context().info_name == "doubt" else data["format"]
        write_json(json_file, {**data, "format": layout, **about, "without_truth": labels.missing})
    if found.failures:
        failed = count(len(found.failures), "file")
        say(f"atrous: {failed} could not be measured; the figures are those of the rest", err=True)
    return 1 if found.failures else 0


def _check_usage(
    rankings: tuple[str, ...], truth: TruthOptions, ambiguous: Path | None, label_errors: bool, asked: dict[str, bool]
) -> None:  # fmt: skip
    from deeplab_core.analysis.ranking import RANKINGS

    for name in rankings:
        if not asked.get(name, True):
            raise click.UsageError(f"--ranking {name} needs {RANKINGS[name].option}")
    if not truth.folders and (truth.catalog_name is not None or ambiguous is not None or label_errors):
        raise click.UsageError("--label-errors, --catalog and --ambiguous need --truth")


def _predictor(path: Path, options: PredictOptions, images: Sequence[Path], of_model: Mapping[str, Any]) -> Predictor:
    """The model; ``auto`` becomes the engine that a trial with the first image finds, one for all images."""
    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    model, card = load_model(path, output_stride=options.output_stride, options=of_model)
    report_model(card)
    refuse_threshold(card, options.threshold)
    predictor = Predictor(model, card, options=options, device=options.device, trials=engine_trials_file())
    settle_engine(predictor, pixels_of(predictor, images))
    return predictor


def _ground_truth(images: Path, names: list[str], truth: TruthOptions, model: ClassCatalog) -> CommandTruth | None:
    """What the user named as ground truth, with its classes; None without."""
    from deeplab_core.datasets import find_truth

    if not truth.folders:
        return None

    def masks() -> list[Path]:
        return [
            path
            for folder in truth.folders
            for path in find_truth(images, names, truth_folder=folder, allow_predicted=True).files.values()
        ]

    return named_truth(truth, masks, fallback=model)


@dataclass(slots=True)
class _Ranked:
    """The folder so far, and what could not be read or measured."""

    analysis: FolderAnalysis
    failures: list[AtrousError] = field(default_factory=list)


class _Truth:
    """The truth of a folder of images.

    Attributes:
        missing: images without truth; empty if none was asked for.
        problems: files that fit more than one image, or the other way round.
        notes: files that were read in an unusual way, counted.
        statistics: pixels of the masks by class.
    """

    def __init__(
        self,
        images: Path,
        names: list[str],
        truth: TruthOptions,
        ambiguous: Path | None,
        catalog: ClassCatalog,
    ) -> None:
        from deeplab_core.datasets import find_truth
        from deeplab_core.datasets.ambiguous import AMBIGUOUS_SUFFIX
        from deeplab_core.datasets.sidecars import SidecarFiles
        from deeplab_core.masks.plausibility import MaskStatistics

        self._catalog = catalog
        self.statistics = MaskStatistics(catalog)
        self._frame: Frame = truth.frame
        folders = truth.folders
        self._marks: SidecarFiles | None = None if ambiguous is None else SidecarFiles(ambiguous, (AMBIGUOUS_SUFFIX,))
        self.notes = RunNotes("ground truth mask")
        self.files: dict[str, Path] = {}
        self.problems: list[AtrousError] = []
        for folder in folders:
            matched = find_truth(images, names, truth_folder=folder, catalog=catalog, allow_predicted=truth.allow_predicted)
            self.problems += [MaskFormatError(problem.message, path=images / problem.image) for problem in matched.problems]
            for name, path in matched.files.items():
                other = self.files.setdefault(name, path)
                if other != path:
                    raise click.UsageError(f"{name} has two true masks, {other} and {path}; name the folder of one")
        if folders and not self.files:
            raise click.UsageError(f"no mask in {', '.join(map(str, folders))} has the name of an image")
        self.missing = [name for name in names if name not in self.files] if folders else []

    def of(self, name: str, image: ImageData) -> tuple[LabelMap | None, Any]:
        """(H, W) ids and (H, W) bool of what does not count; None if missing."""
        from deeplab_core.datasets.ambiguous import read_ambiguous
        from deeplab_core.labels import class_histogram
        from deeplab_core.masks.read import load_mask

        path = self.files.get(name)
        if path is None:
            return None, None
        mask = load_mask(path, self._catalog, image.info, frame=self._frame)
        self.notes.add(name, mask.notes)
        labels = mask.labels
        self.statistics.add(name, class_histogram(labels, self._catalog))
        marks = None if self._marks is None else self._marks.of(name)
        return labels, None if marks is None else read_ambiguous(marks, labels.shape).mask()


def _measure_all(images: Path, names: list[str], meter: RankingPredictor, truth: _Truth, found: _Ranked) -> None:
    shown: set[str] = set()
    image_notes = RunNotes("image")
    with progress("rank", len(names)) as bar:
        for problem in truth.problems:
            bar.note(f"failed: {problem}")
        for model, unmatched in meter.unmatched.items():
            if unmatched:
                bar.note(f"note: void, because '{meter.catalog.name}' has no such class: {model}'s {', '.join(unmatched)}")
        paths = [images / name for name in names]
        for name, path, image in zip(names, paths, read_ahead(paths, fourth=meter.in_channels == 4), strict=True):
            try:
                with one_image(path):
                    notes = _measure(name, image, meter, truth, found, bar)
                    image_notes.add(name, image.result().notes)
            except AtrousError as error:
                found.failures.append(error)
                bar.note(f"failed: {error}")
            else:
                for note in notes:
                    if note not in shown:
                        shown.add(note)
                        bar.note(f"note: {note}")
            bar.advance(name)
        implausible = [note.spoken() for note in truth.statistics.findings()]
        for line in implausible + image_notes.spoken() + truth.notes.spoken():
            bar.note(line)


def _measure(
    name: str, image: Future[ImageData], meter: RankingPredictor, truth: _Truth, found: _Ranked, bar: ProgressReporter
) -> tuple[str, ...]:
    data = image.result()
    try:
        with one_image(name):
            labels, exclude = truth.of(name, data)
    except AtrousError as error:  # the image is ranked all the same
        found.failures.append(error)
        bar.note(f"failed: {error}")
        labels, exclude = None, None
    measured = meter(data.pixels(meter.in_channels), truth=labels, exclude=exclude)
    found.analysis.update(name, measured.analysis)
    return measured.notes


def _report(found: _Ranked, model: str, truth: _Truth, rankings: tuple[str, ...], top: int, *, label_errors: bool) -> list[str]:
    folder = found.analysis
    lines = [f"{model}: {count(len(folder), 'image')}"]
    if truth.files:
        records = [record for image in folder if (record := folder.get(image)) is not None and record.wrong_px is not None]
        wrong, labelled = sum(record.wrong_px or 0 for record in records), sum(record.labelled_px or 0 for record in records)
        lines[0] += f", {len(records)} with truth, {wrong:,} of {labelled:,} labelled px wrong"
    lines += ranking_lines(folder, top, rankings) + gain_lines(folder)
    return lines + _label_errors(folder, top) if label_errors else lines


def _label_errors(folder: FolderAnalysis, top: int) -> list[str]:
    from deeplab_core.analysis.summary import label_quality_of

    names = {info.id: info.name for info in folder.catalog.classes}
    quality, issues = label_quality_of(folder), folder.issues()
    lines = ["", "Quality of the given labels, lowest first: softmin of the confidence in them, without edges and void"]
    lines += [f"  {quality[image]:12.4f}  {one_line(image)}" for image in list(quality)[:top]]
    lines += ["", f"Labels that seem wrong, heaviest first ({len(issues):,} found)"]
    lines += [
        f"  {row.issue.pixels:9,} px  given {names[row.issue.given]}, likely {names[row.issue.suggested]}  "
        f"{place_text(row.image, row.issue.box)}"
        for row in issues[:top]
    ]
    return lines


def _crf_values(crf: CRFParams | None) -> dict[str, Any] | None:
    from dataclasses import asdict

    return None if crf is None else asdict(crf)
