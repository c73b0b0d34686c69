"""Remake the study of chairs and sofas.

    python -m tools.studies.chairs_and_sofas --rooms DIR [--rooms DIR] [--real ../shared/real] [--model FILE] [--out out/study]

Predicts rendered rooms (default: the sample project) and, if available, photographs with VOC-21 truth, with the bundled
network and with a network trained on PASCAL VOC, under five conditions; measures; and puts tables and curves into
docs/studies/chairs-and-sofas.md. Pictures are of rendered rooms only. One thread, so that times compare.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from app.paths import RESOURCES, SAMPLE_PROJECT
from deeplab_core.analysis import ObjectAxis
from tools.studies.chairs_and_sofas import page, pictures, plots, runs, sets

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "studies" / "chairs-and-sofas.md"
IMAGES = ROOT / "docs" / "images" / "studies"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=Path, action="append", help="folder of rendered rooms; may be repeated")
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared" / "real", help="photographs and a VOC network")
    parser.add_argument("--model", type=Path, default=RESOURCES / "models" / "rooms-voc.safetensors")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "study", help="masks and copies of the images")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    rooms = sets.gather_rooms(arguments.rooms or [SAMPLE_PROJECT], arguments.out / "rooms")
    photographs = sets.gather_photographs(arguments.real, arguments.out / "photographs")
    bundled = runs.Subject("rooms-voc", "rooms-voc", arguments.model)
    voc = runs.Subject("voc", "DeepLabv3 (VOC)", arguments.real / "weights" / "deeplabv3_mnv2_voc_folded.safetensors")
    found: dict[tuple[str, str, str], runs.Result] = {}
    for data in filter(None, (rooms, photographs)):
        for subject in (bundled, voc):
            own = (subject is bundled) == (data is rooms)
            for condition in runs.CONDITIONS:
                wanted = subject.path.is_file() and (own or condition.name == "plain")
                if wanted and runs.possible(subject, condition):
                    result = runs.run(subject, data, condition, arguments.out / "masks")
                    found[data.name, subject.name, condition.name] = result
                    print(
                        f"{data.title}, {subject.title}, {condition.title}: mIoU {page.percent(result.truth_mean_iou())},"
                        f" chair {page.percent(result.iou('chair'))}, sofa {page.percent(result.iou('sofa'))},"
                        f" {result.milliseconds:.0f} ms",
                        flush=True,
                    )

    plain = {(data, subject): result for (data, subject, condition), result in found.items() if condition == "plain"}
    ways = [result for key, result in found.items() if key[:2] == ("rooms", "rooms-voc")]
    own_rooms, own_photographs = plain["rooms", "rooms-voc"], plain.get(("photographs", "voc"))
    tables = {
        "overall": page.overall(list(plain.values())),
        "occlusion-rooms": page.slices(own_rooms, ObjectAxis.VISIBLE_FRACTION),
        "losses": page.losses([result for result in (own_rooms, own_photographs) if result is not None]),
        "conditions-rooms": page.conditions(ways),
    }
    plots.draw_slices([own_rooms], ObjectAxis.VISIBLE_FRACTION, IMAGES / "occlusion_rooms.svg")
    plots.draw_bands(ways, IMAGES / "bands_rooms.svg")
    pictures.draw_confusions(own_rooms, IMAGES / "chairs_and_sofas.png")
    if own_photographs is not None:
        tables["occlusion-photographs"] = page.slices(own_photographs, ObjectAxis.BORDER_SHARE)
        tables["conditions-photographs"] = page.conditions(
            [result for key, result in found.items() if key[:2] == ("photographs", "voc")]
        )
        plots.draw_slices([own_photographs], ObjectAxis.BORDER_SHARE, IMAGES / "occlusion_photographs.svg")
    page.fill(PAGE, tables)
    print(f"{PAGE} and {IMAGES} are made again")


if __name__ == "__main__":
    main()
