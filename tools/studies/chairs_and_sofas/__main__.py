"""Remake the study of chairs and sofas.

    python -m tools.studies.chairs_and_sofas [--ablations out/ablations] [--out out/study]

Measures the masks that ``python -m tools.ablations`` left, each bundled network in every setting on its own images; predicts with
the other network on the same images; and puts tables and curves into docs/studies/chairs-and-sofas.md. All is measured over the
classes that both networks can answer, those of the rooms: on photographs the others are void. Only what hides chairs and sofas of
photographs, and where their loss is, is measured over all classes, because people and animals hide them. Without photographs
their tables stay. Pictures are of rendered rooms only.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from deeplab_core.analysis import ObjectAxis
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError
from deeplab_core.reading import read_json
from tools.ablations import MODELS, OUT, ROOT, AblatedSet, present
from tools.image_sets import ImageSet, restrict_truth
from tools.page_parts import fill, percent
from tools.studies.chairs_and_sofas import page, pictures, plots, runs

PAGE = ROOT / "docs" / "studies" / "chairs-and-sofas.md"
IMAGES = ROOT / "docs" / "images" / "studies"
#: What both networks can answer: rooms-voc has seen no other class.
CLASSES = ("background", "bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor")
#: Settings whose trimap curves are drawn.
BAND_SETTINGS = ("", "os8", "crf:v2", "flip+scales:0.75,1,1.25")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ablations", type=Path, default=OUT, help="folder of python -m tools.ablations")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "study", help="masks, and ground truth of the common classes")
    arguments = parser.parse_args()
    sets = {one.data.name: one for one in present(arguments.ablations)}
    if "rooms" not in sets:
        raise AtrousError("there are no masks of rooms", remedy="Run python -m tools.ablations", path=arguments.ablations)
    rooms = _results(sets["rooms"], sets["rooms"].data, arguments.out)
    compared = [(rooms[0], runs.compare(rooms))]
    tables = {
        "occlusion-rooms": page.slices(rooms[0], ObjectAxis.VISIBLE_FRACTION),
        "conditions-rooms": page.conditions(compared[0][1]),
    }
    plots.draw_slices([rooms[0]], ObjectAxis.VISIBLE_FRACTION, IMAGES / "occlusion_rooms.svg")
    curves = [result for result in rooms[:-1] if result.variant in BAND_SETTINGS]
    plots.draw_bands(curves, IMAGES / "bands_rooms.svg")
    pictures.draw_confusions(rooms[0], IMAGES / "chairs_and_sofas.png")
    everything, own = [rooms[0], rooms[-1]], [rooms[0]]
    if "photographs" in sets:
        data = replace(sets["photographs"].data, folder=arguments.out / "photographs")
        left = restrict_truth(sets["photographs"].data, get_catalog("voc21"), CLASSES, data.folder / "truth")
        print(f"photographs: {percent(left)} % of the labelled pixels are of other classes, and void here", flush=True)
        photographs = _results(sets["photographs"], data, arguments.out)
        compared.append((photographs[0], runs.compare(photographs)))
        everything += [photographs[0], photographs[-1]]
        occluded = runs.measure(photographs[0].model, sets["photographs"].data, "", sets["photographs"].masks())
        own.append(occluded)
        tables |= {
            "occlusion-photographs": page.slices(occluded, ObjectAxis.BORDER_SHARE),
            "conditions-photographs": page.conditions(compared[1][1]),
        }
        plots.draw_slices([occluded], ObjectAxis.BORDER_SHARE, IMAGES / "occlusion_photographs.svg")
    tables |= {
        "overall": page.overall(everything),
        "networks": page.networks(compared),
        "losses": page.losses(own),
        "pairs": page.pairs(own),
    }
    fill(PAGE, tables)
    print(f"{PAGE} and {IMAGES} are made again")


def _results(chosen: AblatedSet, data: ImageSet, out: Path) -> list[runs.Result]:
    """The set's own network as trained, then in every setting, then the other network as trained.

    Args:
        chosen: whose masks are measured.
        data: the same images, with the ground truth to measure against.
        out: where the other network writes.
    """
    seconds = {row["variant"]: row["cpu_seconds_per_image"] for row in read_json(chosen.results)["rows"]}
    found = [
        runs.measure(chosen.model, data, variant, chosen.masks(variant), seconds=seconds[variant]) for variant in runs.SETTINGS
    ]
    other = next(model for name, model in MODELS.items() if name != chosen.data.name)
    masks = runs.predict(other, chosen.data, out / "masks" / f"{data.name}-{other}")
    return [*found, runs.measure(other, data, "", masks)]


if __name__ == "__main__":
    main()
