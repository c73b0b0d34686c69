"""Parts of an evaluation give exactly the figures of one process, and refuse to give those of a part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.analysis.partial import (
    PART,
    EvaluationSettings,
    count_shard,
    is_counted,
    merge_parts,
    versions,
    write_list,
    write_part,
)
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.errors import DataFileError, StorageError
from deeplab_core.masks.png import encode_png
from deeplab_core.records import TrimapBand
from deeplab_core.shards import Fields, ResultFolder, Shard, list_shards
from tests.fakes.shards import labels, mask, write_tar

CATALOG = ClassCatalog("four", "Four", tuple(ClassInfo(i, f"class {i}", (60 * i, 2 * i, 3 * i)) for i in range(4)))
TWO = ClassCatalog("two", "Two", tuple(ClassInfo(i, f"class {i}", (60 * i, 2 * i, 3 * i)) for i in range(2)), background=0)


def wanted(catalog: ClassCatalog = CATALOG, **changes: Any) -> EvaluationSettings:
    values = {"widths": (1, 4, 16), "band": TrimapBand(rule="edge"), "names": Fields(prediction="pred.png"), **changes}
    return EvaluationSettings(catalog=catalog, **values)


def make(
    folder: Path,
    sizes: list[int],
    *,
    catalog: ClassCatalog = CATALOG,
    seed: int = 0,
    confidence: bool = False,
    marked: bool = False,
) -> list[Shard]:
    """Shards of so many samples, and the same masks as folders ``truth`` and ``pred``, marks of ambiguity in ``marks``."""
    for name in ("truth", "pred", "marks"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number, size in enumerate(sizes):
        members: dict[str, bytes] = {}
        for place in range(size):
            key = f"{number:02}{place:02}"
            truth = labels(seed + 100 * number + place, len(catalog))
            predicted = np.where(rng.random(truth.shape) < 0.2, labels(seed + 7 + place, len(catalog)), truth)
            truth[: number % 3] = 255
            files = {"seg.png": mask(truth, catalog), "pred.png": mask(predicted.astype(np.uint8), catalog)}
            if confidence:
                files["confidence.png"] = b"".join(encode_png(rng.integers(128, 256, truth.shape).astype(np.uint8)))
                (folder / "pred" / f"{key}.confidence.png").write_bytes(files["confidence.png"])
            if marked and place == 0:
                region = np.zeros(truth.shape, bool)
                region[5:15, 3 : 9 + number] = True
                marks = AmbiguousMarks(*truth.shape).marked(region, reason="either")
                files["ambiguous.json"] = json.dumps(marks.to_dict()).encode()
                (folder / "marks" / f"{key}.ambiguous.json").write_bytes(files["ambiguous.json"])
            members |= {f"{key}.{ending}": data for ending, data in files.items()}
            (folder / "truth" / f"{key}.png").write_bytes(files["seg.png"])
            (folder / "pred" / f"{key}.png").write_bytes(files["pred.png"])
        write_tar(folder / f"s-{number:02}.tar", members)
    return list(list_shards([str(folder / "s-*.tar")]))


def counted(folder: Path, shards: list[Shard], how: EvaluationSettings) -> ResultFolder:
    results = ResultFolder(folder / "parts")
    write_list(results, shards)
    for shard in shards:
        write_part(results, shard, how, count_shard(shard, how), versions(shard, how.names, None))
    return results


def comparable(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures without the paths of their files."""
    rows = [{key: value for key, value in row.items() if key not in ("name", "prediction", "truth")} for row in figures["images"]]
    rest = {key: value for key, value in figures.items() if key not in ("warnings", "truth_masks", "predictions_without_truth")}
    return {**rest, "images": rows}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4), seed=st.integers(0, 1000), boundary=st.booleans(), data=st.data()
)
def test_parts_in_any_order_give_the_figures_of_the_folder(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int, boundary: bool, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("set")
    shards = make(folder, sizes, seed=seed)
    how = wanted(boundary=boundary)
    results = counted(folder, shards, how)
    for shard in data.draw(st.permutations(shards)):  # whoever counted what, and when
        write_part(results, shard, how, count_shard(shard, how, threads=2), versions(shard, how.names, None))
    merged = merge_parts(results, resamples=50, seed=3)
    whole = evaluate_folders(
        folder / "pred", [folder / "truth"], CATALOG, bands=how.widths, boundary=boundary, resamples=50, seed=3
    )  # fmt: skip
    assert comparable(merged.to_dict()) == comparable(whole.to_dict())
    assert [image.name for image in merged.worst_first] == [Path(image.name).stem for image in whole.worst_first]


def test_calibration_and_thresholds_merge_too(tmp_path: Path) -> None:
    shards = make(tmp_path, [2, 2], catalog=TWO, confidence=True)
    how = wanted(TWO, threshold=0.7)
    merged = merge_parts(counted(tmp_path, shards, how), resamples=0)
    whole = evaluate_folders(tmp_path / "pred", [tmp_path / "truth"], TWO, bands=how.widths, resamples=0, threshold=0.7)
    assert merged.calibrated_images == 4
    assert comparable(merged.to_dict()) == comparable(whole.to_dict())


def test_marks_of_ambiguity_are_not_scored(tmp_path: Path) -> None:
    """They lie in the shards beside the ground truth, whether the predictions do or not."""
    shards = make(tmp_path, [2, 3], marked=True)
    merged = merge_parts(counted(tmp_path, shards, wanted()), resamples=0)
    whole = evaluate_folders(
        tmp_path / "pred", [tmp_path / "truth"], CATALOG, bands=wanted().widths, resamples=0, ambiguous_dir=tmp_path / "marks"
    )
    assert merged.excluded_px == whole.excluded_px > 0
    assert comparable(merged.to_dict()) == comparable(whole.to_dict())
    (tmp_path / "out").mkdir()
    members = {path.stem + ".seg.png": path.read_bytes() for path in sorted((tmp_path / "pred").glob("00*.png"))}
    write_tar(tmp_path / "out" / "s-00.tar", members)
    found = count_shard(shards[0], wanted(), ResultFolder(tmp_path / "out"))
    assert found.evaluation(wanted().counter(), resamples=0, seed=0).excluded_px > 0


def test_marks_of_another_size_fail_with_their_image(tmp_path: Path) -> None:
    good = mask(labels(1, 4), CATALOG)
    marks = json.dumps(AmbiguousMarks(3, 3).to_dict()).encode()
    members = {"a.seg.png": good, "a.pred.png": good, "a.ambiguous.json": marks, "b.seg.png": good, "b.pred.png": good}
    write_tar(tmp_path / "s.tar", members)
    found = count_shard(list_shards([str(tmp_path / "s.tar")])[0], wanted())
    assert [image.name for image in found.images] == ["b"]
    assert str(found.failures[0].path) == "s.tar/a.ambiguous.json"


def test_a_part_of_the_first_version_is_counted_again(tmp_path: Path) -> None:
    """It may have left marks of ambiguity out."""
    shards = make(tmp_path, [1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deeplab_core.analysis.partial._FORMAT", "atrous-evaluation-part-1")
        results = counted(tmp_path, shards, wanted())
        assert is_counted(results, shards[0], wanted(), versions(shards[0], wanted().names, None))
    assert not is_counted(results, shards[0], wanted(), versions(shards[0], wanted().names, None))


def test_predictions_in_shards_of_their_own(tmp_path: Path) -> None:
    """As 'predict --shards' writes them: the same names; one image failed, and one has no ground truth."""
    first, second, third = (mask(labels(seed, 4), CATALOG) for seed in range(3))
    write_tar(tmp_path / "s.tar", {"a.seg.png": first, "b.seg.png": second, "c.seg.png": third})
    (tmp_path / "out").mkdir()
    write_tar(tmp_path / "out" / "s.tar", {"c.seg.png": third, "a.seg.png": second, "d.seg.png": first})
    shard = list_shards([str(tmp_path / "s.tar")])[0]
    found = count_shard(shard, wanted(names=Fields()), ResultFolder(tmp_path / "out"))
    assert [image.name for image in found.images] == ["a", "c"]
    assert list(map(str, found.missing)) == ["s.tar/b.seg.png"]
    assert list(map(str, found.extra)) == ["s.tar/d"]
    with pytest.raises(StorageError, match="no such file"):
        count_shard(shard, wanted(names=Fields()), ResultFolder(tmp_path / "elsewhere"))


def test_a_damaged_mask_and_one_of_another_size_fail_alone(tmp_path: Path) -> None:
    good, small = mask(labels(1, 4), CATALOG), mask(labels(1, 4, 8, 8), CATALOG)
    members = {"a.seg.png": good, "a.pred.png": good[:60], "b.seg.png": good, "b.pred.png": small, "c.seg.png": good,
               "d.seg.png": good, "d.pred.png": good}  # fmt: skip
    write_tar(tmp_path / "s.tar", members)
    shard = list_shards([str(tmp_path / "s.tar")])[0]
    results = counted(tmp_path, [shard], wanted())
    merged = merge_parts(results)
    assert [image.name for image in merged.images] == ["d"]
    assert len(merged.failures) == 3
    assert {str(error.path) for error in merged.failures} == {"s.tar/a.pred.png", "s.tar/b.pred.png", "s.tar/c"}


def test_a_part_is_kept_for_its_contents_and_refused_for_other_settings(tmp_path: Path) -> None:
    shards = make(tmp_path, [2])
    results = ResultFolder(tmp_path / "parts")
    made_of = versions(shards[0], Fields(), None)
    assert not is_counted(results, shards[0], wanted(), made_of)
    write_part(results, shards[0], wanted(), count_shard(shards[0], wanted()), made_of)
    assert is_counted(results, shards[0], wanted(), made_of)
    assert not is_counted(results, shards[0], wanted(), ["other contents"])
    with pytest.raises(DataFileError, match="other classes or options"):
        is_counted(results, shards[0], wanted(boundary=False), made_of)
    path = tmp_path / "parts" / f"{shards[0].name}{PART}"
    path.write_bytes(path.read_bytes()[:-40])
    assert not is_counted(results, shards[0], wanted(), made_of)


def test_a_merge_says_what_is_missing_damaged_or_double(tmp_path: Path) -> None:
    shards = make(tmp_path, [1, 1, 1])
    results = counted(tmp_path, shards, wanted())
    path = tmp_path / "parts" / f"s-01{PART}"
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(DataFileError, match=r"1 of 3 shards are not evaluated yet, e\.g\. s-01"):
        merge_parts(results)
    path.write_bytes(kept[:100])
    with pytest.raises(DataFileError, match=r"s-01.*damaged"):
        merge_parts(results)
    path.write_bytes((tmp_path / "parts" / f"s-00{PART}").read_bytes())
    with pytest.raises(DataFileError, match="both have an image '0000'"):
        merge_parts(results)
    write_part(results, shards[1], wanted(boundary=False), count_shard(shards[1], wanted(boundary=False)), [])
    with pytest.raises(DataFileError, match="different classes or options"):
        merge_parts(results)
    with pytest.raises(DataFileError, match="holds no parts"):
        merge_parts(ResultFolder(tmp_path))


def test_a_part_is_a_table_of_images(tmp_path: Path) -> None:
    shards = make(tmp_path, [2])
    counted(tmp_path, shards, wanted())
    rows = parquet.read_table(tmp_path / "parts" / f"s-00{PART}").to_pylist()
    assert [row["name"] for row in rows] == ["0000", "0001"]
    assert 0 < rows[0]["mean_iou"] < 1
    assert sum(rows[0]["totals"][len(rows[0]["channels"]) :][: len(rows[0]["channels"])]) == rows[0]["labelled_px"]
