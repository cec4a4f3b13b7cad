"""Runs artifacts on a device: no torch, no scipy; only the runner of the artifact's target.

`load` opens a .lamella file as a `Session`. `lamella.runtime.generate` has the verbs that make text
with one: `generate`, `stream` and `generate_ids`.
"""

from lamella.runtime.sampling import GREEDY, Sampling
from lamella.runtime.session import Session, load

__all__ = ["GREEDY", "Sampling", "Session", "load"]
