"""One RGB image in, one Prediction out."""
