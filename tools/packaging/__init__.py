"""Building the application folder."""
