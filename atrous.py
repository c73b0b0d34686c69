"""``atrous`` and ``python -m atrous``: the program, whatever else is called ``app`` or ``resources`` where it is started.

``app`` and ``deeplab_core`` are taken from beside this file. A folder with an ``app/`` of its own (the current folder of
``python -m atrous``, or one that ``PYTHONPATH`` names) cannot take their place. See docs/adr/0149-names-at-the-top.md.

Kept thin: a spawned compute process imports this module again, so nothing here may import Qt, torch or numpy.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def pin(name: str, folder: Path) -> None:
    """Import a package from a folder, whatever ``sys.path`` would find under its name. Does nothing if it is that one already."""
    known = sys.modules.get(name)
    if known is not None and known.__file__ and Path(known.__file__).resolve().parent == folder:
        return
    spec = spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


for _name in ("app", "deeplab_core"):
    pin(_name, Path(__file__).resolve().parent / _name)


def main() -> int:
    """Run the command line; without a sub-command it opens the window. Returns the exit status."""
    from app.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
