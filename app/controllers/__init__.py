"""The product's commands, one file per user goal."""
