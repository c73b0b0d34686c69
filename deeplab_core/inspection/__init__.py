"""From a number to the pixels behind it: error partitions, slices, rankings."""
