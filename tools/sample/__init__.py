"""Makes the sample project: rooms rendered by ourselves, their truth, and masks as a mediocre model would draw them."""
