"""Networks of the DeepLab family, built by create_model."""
