"""Studies whose pages in docs/studies are remade by one command each."""
