"""The old place of :mod:`deeplab_core.atomic`; imports from here keep working."""

from deeplab_core.atomic import Buffer, atomic_write, make_folder, storage_error

__all__ = ["Buffer", "atomic_write", "make_folder", "storage_error"]
