"""Ground truth, figures, error analysis, rankings."""
