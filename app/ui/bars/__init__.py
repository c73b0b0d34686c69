"""The thin bars around the picture: tools above, readout and jobs below, messages over it."""
