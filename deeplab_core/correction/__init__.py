"""Correction tools: components, region hierarchy, two-class scribble, snapping outlines, clicks. numpy, OpenCV and numba; no
torch.

::

    corrector = Corrector(rgb, labels, catalog=catalog, scores=scores)
    proposal = corrector.region_at(x, y, level=6)     # None where it has nothing to offer
    patch = corrector.apply(proposal)
    corrector.update(patch.inverted())                # takes it back
"""

from deeplab_core.correction.checks import LEVELS
from deeplab_core.correction.components import SMOOTHNESS
from deeplab_core.correction.corrector import Corrector
from deeplab_core.correction.hierarchy import Hierarchy, build_hierarchy
from deeplab_core.correction.jobs import ComponentJob, JobResult, run_component_job
from deeplab_core.correction.proposal import ClickModel, Patch, Proposal, RegionPreview
from deeplab_core.correction.scribble import REACHES
from deeplab_core.correction.snapping import BANDS, FLOODED, SnapMethod
from deeplab_core.labels import Provenance

__all__ = [
    "BANDS",
    "FLOODED",
    "LEVELS",
    "REACHES",
    "SMOOTHNESS",
    "ClickModel",
    "ComponentJob",
    "Corrector",
    "Hierarchy",
    "JobResult",
    "Patch",
    "Proposal",
    "Provenance",
    "RegionPreview",
    "SnapMethod",
    "build_hierarchy",
    "run_component_job",
]
