"""Learning from corrections."""
