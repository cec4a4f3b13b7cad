"""Decides which format every layer gets under a budget of bytes and accuracy."""
