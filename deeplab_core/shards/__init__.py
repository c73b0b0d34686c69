"""Image sets of any size as shards: tar files in the manner of WebDataset, Parquet files and manifests, wherever they lie."""

from deeplab_core.shards.places import ResultFolder, Shard, list_shards, settings_hash, settled_place
from deeplab_core.shards.reading import read_shard, shard_version
from deeplab_core.shards.samples import BrokenSample, Fields, ShardSample
from deeplab_core.shards.writing import ShardWriter, finished, mark_finished, writing_shard

__all__ = [
    "BrokenSample", "Fields", "ResultFolder", "Shard", "ShardSample", "ShardWriter", "finished", "list_shards", "mark_finished",
    "read_shard", "settings_hash", "settled_place", "shard_version", "writing_shard",
]  # fmt: skip
