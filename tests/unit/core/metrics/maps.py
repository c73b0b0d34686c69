"""Catalogs and hypothesis strategies for label maps, and the naive loops that the fast code is held against."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo


def catalog_of(*ids: int, name: str = "test") -> ClassCatalog:
    return ClassCatalog(name=name, title=name, classes=tuple(ClassInfo(i, f"class {i}", ((i * 40) % 256, 80, 120)) for i in ids))


#: Gaps and an order that is not that of the ids, so that id and channel never agree by luck.
GAPPED = catalog_of(7, 0, 33, 254, name="gapped")
WIDE = catalog_of(3, 300, 9, 65534, name="wide")


def label_maps(catalog: ClassCatalog, shape: tuple[int, int] | None = None) -> st.SearchStrategy[np.ndarray]:
    values = [*catalog.ids.tolist(), catalog.ignore]
    shapes = st.tuples(st.integers(1, 9), st.integers(1, 11)) if shape is None else st.just(shape)
    return shapes.flatmap(lambda s: hnp.arrays(catalog.dtype, s, elements=st.sampled_from(values), fill=st.nothing()))


def naive_counts(truth: np.ndarray, prediction: np.ndarray, catalog: ClassCatalog) -> np.ndarray:
    counts = np.zeros((len(catalog), len(catalog) + 1), dtype=np.int64)
    columns = {**{int(i): k for k, i in enumerate(catalog.ids)}, catalog.ignore: len(catalog)}
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if t != catalog.ignore:
            counts[columns[t], columns[p]] += 1
    return counts


def naive_iou(truth: np.ndarray, prediction: np.ndarray, class_id: int, ignore: int) -> float:
    labelled = truth != ignore
    is_class, called = (truth == class_id) & labelled, (prediction == class_id) & labelled
    union = int((is_class | called).sum())
    return math.nan if union == 0 else int((is_class & called).sum()) / union
