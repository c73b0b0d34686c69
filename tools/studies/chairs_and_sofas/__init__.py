"""How chairs become sofas, and what helps: the study in docs/studies/chairs-and-sofas.md."""
