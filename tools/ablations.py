"""``docs/ablations.md``: which settings help the bundled networks, and where, from the JSON of ``atrous ablate``.

    python -m tools.ablations [--only rooms] [--rooms DIR] [--real ../shared/real] [--out out/ablations] [--page-only]

Gathers the images, runs the command that the page shows, and puts its tables between the markers of the page. The photographs
are not part of the project; without them their part of the page stays as it is.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from app.cli import run
from app.paths import SAMPLE_PROJECT
from deeplab_core.catalogs import get_catalog
from deeplab_core.reading import read_json
from tools.image_sets import ImageSet, gather_photographs, gather_rooms
from tools.page_parts import fill, points, table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ablations.md"
OUT = ROOT / "out" / "ablations"

#: Settings that are tried, and what tables call them.
VARIANTS = {
    "os8": "stride 8",
    "flip": "mirrored",
    "scales:0.75,1,1.25": "three scales",
    "crf:v2": "CRF v2",
    "flip+scales:0.75,1,1.25": "three scales, mirrored",
}
#: The network of each set.
MODELS = {"photographs": "photos-voc", "rooms": "rooms-voc"}
#: Verdicts of comparisons as words of a setting; a difference that chance may explain has none.
_WORDS = {"better": " **helps**", "worse": " **hurts**", "too few images": " (few)"}
_LISTED = 3
#: Characters of a line of the page.
_WIDTH = 140


@dataclass(frozen=True, slots=True)
class AblatedSet:
    """A set, and where what is made of it lies.

    Attributes:
        data: the images.
        out: folder of the results; the folder of the set stands in it too, under its name.
    """

    data: ImageSet
    out: Path

    @property
    def model(self) -> str:
        """Name of the network."""
        return MODELS[self.data.name]

    @property
    def results(self) -> Path:
        """What ``atrous ablate`` writes."""
        return self.out / f"{self.data.name}.json"

    def masks(self, variant: str = "") -> Path:
        """Folder of the masks of one setting."""
        name = f"{self.model} {variant or 'plain'}"
        return self.out / f"{self.data.name}-masks" / "".join(c if c.isalnum() or c in "._-" else "-" for c in name)

    def arguments(self) -> list[str]:
        """The command line behind ``atrous``, to be run in ``out``."""
        name = self.data.name
        found = ["ablate", f"{name}/images", "--model", self.model, "--truth", f"{name}/truth", "--catalog", "voc21"]
        found += [] if self.data.objects is None else ["--objects", f"{name}/objects"]
        for variant in VARIANTS:
            found += ["--variant", variant]
        return [*found, "-o", f"{name}-masks", "--json", f"{name}.json"]


def gather(out: Path, rooms: Sequence[Path], real: Path, only: str | None = None) -> list[AblatedSet]:
    """The sets that are there, photographs first; or one of them."""
    found = [
        gather_photographs(real, out / "photographs") if only != "rooms" else None,
        gather_rooms(rooms, out / "rooms") if only != "photographs" else None,
    ]
    return [AblatedSet(data, out) for data in found if data is not None]


def present(out: Path) -> list[AblatedSet]:
    """The sets whose results are in a folder, photographs first."""
    titles = {"photographs": "photographs", "rooms": "rendered rooms"}
    found = [
        AblatedSet(ImageSet(name, title, out / name, len(list((out / name / "images").iterdir()))), out)
        for name, title in titles.items()
        if (out / name / "images").is_dir()
    ]
    return [one for one in found if one.results.is_file()]


def ablated(chosen: AblatedSet) -> None:
    """Run the command, in place of what an earlier run left. Raises ClickException if it failed."""
    shutil.rmtree(chosen.out / f"{chosen.data.name}-masks", ignore_errors=True)
    with chdir(chosen.out):
        status = run([*chosen.arguments(), "--overwrite"])
    if status:
        raise click.ClickException(f"'atrous {' '.join(chosen.arguments())}' ended with {status}")


def part_of(chosen: AblatedSet) -> str:
    """The part of the page about a set: command, tables of settings, classes and bands, slices, and the errors won and lost."""
    rows = read_json(chosen.results)["rows"]
    others = rows[1:]
    titles = [VARIANTS.get(row["variant"], row["variant"]) for row in others]
    found = [f"    {line}" for line in _command(chosen.arguments())]
    found += ["", *(line for text in _said(rows, titles) for line in _wrapped(text)), ""]
    found += ["### Settings", "", _settings(rows, titles)]
    found += ["### Scores and bands", "", _changes([row["comparison"]["overall"] for row in others], titles)]
    found += ["### Classes, IoU", "", _changes([row["comparison"]["classes"] for row in others], titles), "### Slices", ""]
    axes = [{axis["name"]: axis for axis in row["errors"]["slices"]} for row in others]
    for name, axis in axes[0].items():
        what = "Objects, IoU, n objects" if axis["unit"] == "object" else "Pixels, mIoU, n images"
        text = axis["text"].removesuffix(", pixels")
        found += [f"{what}; by {text}:", "", _changes([other[name]["slices"] for other in axes], titles, counted=True)]
    return "\n".join([*found, "### Where", "", *(line for text in _where(others, titles) for line in _wrapped(text))])


def _command(arguments: Sequence[str]) -> Iterator[str]:
    """The command in lines of at most 130 characters."""
    line = "atrous"
    pairs = iter(arguments)
    words = [next(pairs), next(pairs)]
    words += (f"{word} {next(pairs)}" if word.startswith("-") else word for word in pairs)
    for word in words:
        if len(line) + len(word) > 126:
            yield f"{line} \\"
            line = "   "
        line += f" {word}"
    yield line


def _wrapped(text: str) -> list[str]:
    """A paragraph, or an entry of a list, in lines; an empty one stays."""
    inside = len(text) - len(text.lstrip())
    hang = " " * (inside + (2 if text.lstrip().startswith("- ") else 0))
    return textwrap.wrap(text, _WIDTH, subsequent_indent=hang, break_on_hyphens=False, break_long_words=False) or [""]


def _said(rows: Sequence[Mapping[str, Any]], titles: Sequence[str]) -> Iterator[str]:
    """What the table says of every setting, one line each."""
    for row, title in zip(rows[1:], titles, strict=True):
        verdicts: dict[str, list[str]] = {"better": [], "worse": []}
        comparison, errors = row["comparison"], row["errors"]
        named = [(change["name"], change) for change in (*comparison["overall"], *comparison["classes"])]
        slices = [change for axis in errors["slices"] for change in axis["slices"]]
        for name, change in named:
            if change["verdict"] in verdicts:
                verdicts[change["verdict"]].append(f"{name} {points(change['difference'])}")
        parts = [f"{word} {', '.join(verdicts[verdict])}" for verdict, word in (("better", "helps"), ("worse", "hurts"))
                 if verdicts[verdict]]  # fmt: skip
        better, worse = (sum(change["verdict"] == verdict for change in slices) for verdict in verdicts)
        text = "; ".join(parts) if parts else "cannot tell for any score or class"
        yield f"- **{title}**: {text}. Of {len(slices)} slices it helps {better} and hurts {worse}."


def _settings(rows: Sequence[Mapping[str, Any]], titles: Sequence[str]) -> str:
    plain = rows[0]
    first = rows[1]["comparison"]["overall"]
    lines = [["as trained", _score(first[0]["before"]), *["–"] * 3, _seconds(plain), "1.0"]]
    for row, title in zip(rows[1:], titles, strict=True):
        change, errors = row["comparison"]["overall"][0], row["errors"]
        ratio = row["cpu_seconds_per_image"] / plain["cpu_seconds_per_image"]
        lines.append(
            [
                title, _score(change["after"]), _cell(change), f"{errors['fixed_px']:,}", f"{errors['made_px']:,}",
                _seconds(row), f"{ratio:.1f}",
            ]
        )  # fmt: skip
    return table(["setting", "mIoU", "change", "wrong px fixed", "wrong px made", "s of CPU", "times"], lines)


def _seconds(row: Mapping[str, Any]) -> str:
    return f"{row['cpu_seconds_per_image']:.2f}"


def _changes(columns: Sequence[Sequence[Mapping[str, Any]]], titles: Sequence[str], *, counted: bool = False) -> str:
    """One row for each score that was measured, one column for each setting."""
    lines = []
    for place, first in enumerate(columns[0]):
        if first["before"] is None:
            continue
        cells = [_cell(column[place]) for column in columns]
        lines.append([first["name"], *([f"{first['count']:,}"] if counted else []), _score(first["before"]), *cells])
    return table(["", *(["n"] if counted else []), "as trained", *titles], lines)


def _cell(change: Mapping[str, Any]) -> str:
    if change["difference"] is None:
        return "–"
    bounds = "" if change["low"] is None else f" [{points(change['low'])}, {points(change['high'])}]"
    return f"{points(change['difference'])}{bounds}{_WORDS.get(change['verdict'], '')}"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _where(others: Sequence[Mapping[str, Any]], titles: Sequence[str]) -> Iterator[str]:
    """The largest errors that each setting won and lost, and the pairs of classes that changed most."""
    catalog = get_catalog("voc21")

    def called(entry: Mapping[str, Any]) -> str:
        names = [catalog.by_id(entry[side]).name if entry[side] in catalog.ids else "void" for side in ("truth", "prediction")]
        return f"{names[0]} {'and' if 'both_ways' in entry else 'called'} {names[1]}"

    yield "The largest errors won and lost (connected wrong pixels), and the pairs of classes that changed most."
    yield ""
    for row, title in zip(others, titles, strict=True):
        errors = row["errors"]
        yield f"- **{title}**"
        for key in ("won", "lost"):
            listed = [
                f"{entry['pixels']:,} px {called(entry)} in {Path(entry['image']).stem}, x {entry['box'][0]}, y {entry['box'][1]}"
                for entry in errors[key][:_LISTED]
            ]
            yield f"    - {key}: {'; '.join(listed) if listed else 'nothing'}"
        pairs = [f"{called(pair)} {pair['fixed']:,} px fixed, {pair['made']:,} made" for pair in errors["pairs"][:_LISTED]]
        yield f"    - pairs: {'; '.join(pairs)}"


@click.command()
@click.option("--only", "chosen", type=click.Choice([*MODELS]), help="One set; the other part of the page stays.")
@click.option("--rooms", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path), help="Rendered rooms.")
@click.option("--real", type=click.Path(path_type=Path), default=ROOT.parent / "shared" / "real", help="The photographs.")
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), default=OUT, help="Images, masks and results.")
@click.option("--page-only", is_flag=True, help="Write the page from results that are there.")
def main(chosen: str | None, rooms: tuple[Path, ...], real: Path, out: Path, page_only: bool) -> None:
    """Run the ablations and write their page."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if not page_only:
        for one in gather(out, [folder.absolute() for folder in rooms] or [SAMPLE_PROJECT], real.absolute(), chosen):
            ablated(one)
    for one in present(out):
        if chosen in (None, one.data.name):
            fill(PAGE, {one.data.name: part_of(one)})
            click.echo(f"{PAGE}: {one.data.name}")


if __name__ == "__main__":
    main()
