"""The command line: `lamella VERB`, one verb a stage, and `optimize` for all of them."""

from lamella.cli.entry import main

__all__ = ["main"]
