"""What each operator of a graph becomes; a file has a table RULES of its operators."""

from __future__ import annotations

from lamella.targets.native.emitter import Rule
from lamella.targets.native.rules import (
    attention,
    elementwise,
    images,
    layers,
    reductions,
    shapes,
)

RULES: dict[str, Rule] = {
    **shapes.RULES,
    **elementwise.RULES,
    **reductions.RULES,
    **images.RULES,
    **layers.RULES,
    **attention.RULES,
}
