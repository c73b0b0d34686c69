"""Studies; one command each remakes their pages in docs/studies."""
