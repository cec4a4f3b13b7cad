"""lamella makes models thin, layer by layer, and puts them on devices.

Names load on first use, so that `import lamella.runtime` on a device needs no torch:

    trace, load_model    a torch module, Hugging Face folder or GGUF file to a Model
    calibrate, sense     what the data say about its layers
    plan, pareto         a format for every layer, under a budget
    compress             carries the plan out
    optimize             all of it, with a report
    load                 a finished .lamella file, ready to run
    bench                times an artifact against another
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamella.api.optimize import optimize
    from lamella.api.run import Request
    from lamella.api.timing import time_artifacts as bench
    from lamella.calibration.calibrate import calibrate
    from lamella.calibration.sense import sense
    from lamella.compression.compress import compress
    from lamella.frontend.load import load_model
    from lamella.frontend.trace import trace
    from lamella.planner.pareto import pareto
    from lamella.planner.plan import plan
    from lamella.planner.spec import Budget, Plan
    from lamella.runtime.session import load

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "Plan",
    "Request",
    "bench",
    "calibrate",
    "compress",
    "load",
    "load_model",
    "optimize",
    "pareto",
    "plan",
    "sense",
    "trace",
]

# Public name: the module that holds it, and its name there.
_PLACES = {
    "Budget": ("lamella.planner.spec", "Budget"),
    "Plan": ("lamella.planner.spec", "Plan"),
    "Request": ("lamella.api.run", "Request"),
    "bench": ("lamella.api.timing", "time_artifacts"),
    "calibrate": ("lamella.calibration.calibrate", "calibrate"),
    "compress": ("lamella.compression.compress", "compress"),
    "load": ("lamella.runtime.session", "load"),
    "load_model": ("lamella.frontend.load", "load_model"),
    "optimize": ("lamella.api.optimize", "optimize"),
    "pareto": ("lamella.planner.pareto", "pareto"),
    "plan": ("lamella.planner.plan", "plan"),
    "sense": ("lamella.calibration.sense", "sense"),
    "trace": ("lamella.frontend.trace", "trace"),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module 'lamella' has no attribute {name!r}")
        module, attribute = _PLACES[name]
        found = getattr(import_module(module), attribute)
        globals()[name] = found
        return found
