"""`python -m lamella.cli.hidden avx2 VERB`: `lamella VERB`, with what is beyond AVX2 hidden."""

from __future__ import annotations

import sys

from lamella import _native


def main() -> None:
    """Lets nobody see more of the processor than the first argument; the others are a command."""
    _native.hide_features(sys.argv.pop(1))

    from lamella.cli.entry import main as start

    start()


if __name__ == "__main__":
    main()
