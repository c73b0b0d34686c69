"""Short recordings of the correction tools for docs/correcting.md."""
