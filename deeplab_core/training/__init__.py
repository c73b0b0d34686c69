"""Training: data, recipe, loop, validation. ``atrous train`` is its command line."""

from deeplab_core.training.dataset import SegmentationDataset
from deeplab_core.training.distributed import TrainingGroup, process_group
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.samples import DataSource, Sample, fits
from deeplab_core.training.shard_dataset import ShardDataset
from deeplab_core.training.shard_index import ShardSource
from deeplab_core.training.state import RunFiles, TrainingCallback
from deeplab_core.training.trainer import Outcome, Trainer
from deeplab_core.training.validation import Validation, validate

__all__ = [
    "DataSource",
    "Outcome",
    "Recipe",
    "RunFiles",
    "Sample",
    "SegmentationDataset",
    "ShardDataset",
    "ShardSource",
    "Trainer",
    "TrainingCallback",
    "TrainingGroup",
    "Validation",
    "fits",
    "process_group",
    "validate",
]
