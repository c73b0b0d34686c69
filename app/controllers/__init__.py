"""The product's verbs, one file per user goal."""
