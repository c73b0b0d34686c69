"""Class catalogs: the built-in ones, and those of JSON or YAML files."""

from deeplab_core.catalogs.builtin import (
    BUILTIN_NAMES,
    DEFAULT_KEYS,
    builtin_catalogs,
    get_catalog,
    save_catalog,
    voc_color,
    with_default_keys,
)
from deeplab_core.catalogs.catalog import ClassCatalog

__all__ = [
    "BUILTIN_NAMES",
    "DEFAULT_KEYS",
    "ClassCatalog",
    "builtin_catalogs",
    "get_catalog",
    "save_catalog",
    "voc_color",
    "with_default_keys",
]
