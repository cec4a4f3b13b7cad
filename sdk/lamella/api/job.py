"""Jobs: what a user hands to lamella, read from a spec file, a Hugging Face folder or a GGUF file.

A spec is a Python file with three functions, and some optional names:

    def model() -> torch.nn.Module
    def example_inputs() -> Tensor, tuple, or dict of keyword arguments
    def calibration() -> a list of batches, each shaped like the example inputs
    def evaluation() -> a list of held-out batches       (default: the last quarter of calibration)
    def evaluate(predict) -> a score, higher is better   (default: METRIC against the float model)
    def attachments() -> dict of file name to bytes, for example tokenizer.json
    NAME, LICENCE, METRIC, DYNAMIC_SHAPES, GENERATION
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from tokenizers import Tokenizer

from lamella.benchmark.fidelity import METRICS
from lamella.errors import CalibrationError, InputError, LamellaError
from lamella.frontend.load import load_model
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.graph.decoder import generation_settings

Batch = dict[str, torch.Tensor]
WINDOW = 256

# Calibration batches that measure single layers. They are kept from the solvers, which fit what
# they see: a layer of many columns and few samples looks harmless on the samples it was fitted to.
SENSING_BATCHES = 2
CALIBRATION_WINDOWS, EVALUATION_WINDOWS = 64, 48


@dataclass(frozen=True, slots=True)
class Job:
    """One model with its data.

    `calibration` is what solvers fit, `sensing` what single layers are measured on, `evaluation`
    what plans are measured on.
    `evaluate` takes a function from a batch (what the module's forward takes, by name) to the
    module's first output as a tensor, and returns a score, or is None where `metric` decides.
    `source` is a hash of the spec file, "" where there is none.
    """

    model: Model
    metric: str
    calibration: list[Batch]
    sensing: list[Batch]
    evaluation: list[Batch]
    evaluate: Callable[[Callable[[Batch], torch.Tensor]], float] | None = None
    generation: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise InputError(f"unknown metric {self.metric!r}; use one of {', '.join(METRICS)}")
        if self.metric == "perplexity" and not all("input_ids" in at for at in self.evaluation):
            raise InputError("the metric perplexity needs batches with input_ids; use another one")

    @property
    def decides(self) -> str:
        """Returns what the drop is measured in: the spec's own score, or else the metric."""
        return self.metric if self.evaluate is None else "score"


def load_job(spec: str, text: Path | None = None) -> Job:
    """Reads and traces a spec.

    Args:
        spec: a Python file, a Hugging Face folder, or a GGUF file.
        text: for the last two, a UTF-8 file of prose to calibrate and evaluate on.

    Raises:
        InputError: the file is missing or lacks a required function.
        CalibrationError: a list of batches is empty.
        TraceError: the module cannot be captured.
    """
    path = _existing(spec)
    if path.suffix == ".py":
        return _from_python(path)
    if text is None:
        raise InputError(f"{spec}: add --text FILE, prose to calibrate and evaluate the model on")
    if not text.is_file():
        raise InputError(f"{text}: no such text file")
    return _from_text(load_model(str(path)), text)


def traced(spec: str) -> Model:
    """Traces a spec, folder or GGUF file without reading calibration data."""
    path = _existing(spec)
    return _trace(_execute(path), path) if path.suffix == ".py" else load_model(str(path))


def named(module: torch.nn.Module, batch: Any) -> Batch:
    """Returns a batch as keyword arguments of the module's forward."""
    if isinstance(batch, Mapping):
        return dict(batch)
    values = (batch,) if isinstance(batch, torch.Tensor) else tuple(batch)
    parameters = list(inspect.signature(module.forward).parameters)
    if len(values) > len(parameters):
        raise CalibrationError(
            f"a batch has {len(values)} inputs, but {type(module).__name__} takes "
            f"{len(parameters)}: {', '.join(parameters)}"
        )
    return dict(zip(parameters, values, strict=False))


def apart(batches: list[Any]) -> tuple[list[Any], list[Any]]:
    """Splits calibration batches into those to fit and the last ones, to measure single layers.

    At least half of the batches are fitted; a single one has to do for both.
    """
    count = min(SENSING_BATCHES, len(batches) // 2)
    return (batches[:-count], batches[-count:]) if count else (batches, batches)


def _existing(spec: str) -> Path:
    path = Path(spec)
    if not path.exists():
        raise InputError(f"{spec}: no such file; give a Python spec, a model folder or a .gguf")
    return path


def _from_python(path: Path) -> Job:
    spec = _execute(path)
    calibration = _batches(spec, path, "calibration")
    notes: tuple[str, ...] = ()
    if hasattr(spec, "evaluation"):
        evaluation = _batches(spec, path, "evaluation")
    else:
        held_out = max(1, len(calibration) // 4)
        if held_out == len(calibration):
            raise CalibrationError(f"{path}: calibration() gave one batch; add evaluation()")
        calibration, evaluation = calibration[:-held_out], calibration[-held_out:]
        notes = (f"no evaluation() in {path.name}: held out {held_out} calibration batches",)
    fitted, sensing = apart(calibration)
    if len(calibration) == 1:
        notes += ("one calibration batch: single layers are measured on what they were fitted to",)
    model = _trace(spec, path)
    return Job(
        model=model,
        metric=getattr(spec, "METRIC", "relative"),
        calibration=[named(model.module, batch) for batch in fitted],
        sensing=[named(model.module, batch) for batch in sensing],
        evaluation=[named(model.module, batch) for batch in evaluation],
        evaluate=getattr(spec, "evaluate", None),
        generation={**generation_settings(model.module), **getattr(spec, "GENERATION", {})},
        notes=notes,
        source=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _execute(path: Path) -> ModuleType:
    """Runs a spec file as a module of its own; files beside it can be imported by it."""
    located = importlib.util.spec_from_file_location(f"lamella_spec_{path.stem}", path)
    if located is None or located.loader is None:
        raise InputError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(located)
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        # It stays there: the functions of a spec may import when they are called.
        sys.path.insert(0, folder)
    try:
        located.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error
    for name in ("model", "example_inputs", "calibration"):
        if not callable(getattr(module, name, None)):
            raise InputError(
                f"{path}: no function {name}(); a spec needs model, example_inputs and calibration"
            )
    return module


def _trace(spec: ModuleType, path: Path) -> Model:
    module = _call(spec, path, "model")
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{path}: model() returned {type(module).__name__}, not a torch module")
    model = trace(
        module,
        _call(spec, path, "example_inputs"),
        getattr(spec, "DYNAMIC_SHAPES", None),
        name=getattr(spec, "NAME", path.stem),
        licence=getattr(spec, "LICENCE", "unknown"),
    )
    if hasattr(spec, "attachments"):
        model.attachments.update(_call(spec, path, "attachments"))
    return model


def _call(spec: ModuleType, path: Path, name: str) -> Any:
    """Runs a function of the spec; what it raises becomes a sentence."""
    try:
        return getattr(spec, name)()
    except LamellaError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{path}: {name}() failed: {type(error).__name__}: {error}") from error


def _batches(spec: ModuleType, path: Path, name: str) -> list[Any]:
    batches = list(_call(spec, path, name))
    if not batches:
        raise CalibrationError(f"{path}: {name}() gave no batch; give at least one")
    return batches


def _from_text(model: Model, text: Path) -> Job:
    """Cuts a text into windows; the first part calibrates, the last part evaluates."""
    if "tokenizer.json" not in model.attachments:
        raise InputError(f"{model.name}: no tokenizer.json beside the model; write a Python spec")
    tokenizer = Tokenizer.from_str(model.attachments["tokenizer.json"].decode())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        prose = text.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{text} is not a text in UTF-8: {error}") from error
    ids = torch.tensor(tokenizer.encode(prose, add_special_tokens=False).ids)
    windows = [window[None] for window in torch.split(ids, WINDOW) if len(window) == WINDOW]
    if len(windows) < 2:
        raise CalibrationError(f"{text}: {len(ids)} tokens; give at least {2 * WINDOW}")
    half = len(windows) // 2
    names = list(model.kwargs)
    decoder = any(layer.role == "head" for layer in model.layers)
    batches = [
        {name: window if name == "input_ids" else torch.ones_like(window) for name in names}
        for window in windows
    ]
    calibration, sensing = apart(batches[:half][:CALIBRATION_WINDOWS])
    return Job(
        model=model,
        metric="perplexity" if decoder else "cosine",
        calibration=calibration,
        sensing=sensing,
        evaluation=batches[half:][:EVALUATION_WINDOWS],
        generation=generation_settings(model.module),
    )
