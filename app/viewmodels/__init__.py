"""What the window shows, as plain rows, charts and texts, one package for each feature. No Qt, no torch."""
