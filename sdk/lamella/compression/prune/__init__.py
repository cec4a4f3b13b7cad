"""Mask rules: which weights of a layer are kept."""
