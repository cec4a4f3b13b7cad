"""Lets `python -m lamella.cli` stand for the command `lamella`."""

from lamella.cli.entry import main

main()
