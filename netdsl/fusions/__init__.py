"""Fusion rules: each finds regions to outline, or says why not."""
