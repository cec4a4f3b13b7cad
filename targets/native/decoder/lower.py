"""Lowers a compressed decoder to a program of the native engine with key and value caches."""

from __future__ import annotations

from lamella.errors import LoweringError
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.targets.native.decoder.build import Builder, DecoderOptions
from lamella.targets.native.decoder.weights import Weights
from lamella.targets.native.writer import write
from lamella.targets.simulation import without_simulation
from lamella.targets.target import Lowered


def lower(model: Model, options: DecoderOptions | None = None) -> Lowered:
    """Expresses a float or compressed decoder; equal models give equal bytes.

    Raises:
        LoweringError: names the module or layer that the engine cannot express.
    """
    with without_simulation(model) as module:
        builder = Builder(model, module, options or DecoderOptions())
        program = builder.build()
    weights = builder.weights
    for layer in model.layers:
        if layer.id not in weights.operators:
            raise LoweringError(
                f"layer {layer.id}: the program of a {builder.config.model_type} decoder does not "
                "use it; use the target onnx"
            )
    rows = tuple(
        {
            "id": layer.id,
            "format": weights.format(layer.id).id,
            "nbytes": _nbytes(layer, weights),
            "support": "kernel",
            "operator": weights.operators[layer.id],
        }
        for layer in model.layers
    )
    return Lowered(
        target="native",
        program=write(program),
        inputs=({"name": "input_ids", "dtype": "int64", "shape": ["batch", "tokens"]},),
        outputs=(
            {
                "name": "logits",
                "dtype": "float32",
                "shape": ["batch", "tokens", builder.config.vocab_size],
            },
        ),
        layers=rows,
        notes=_notes(builder),
        options={
            "cache": builder.options.cache,
            "block": builder.block,
            "context": builder.context,
        },
    )


def _nbytes(layer: Layer, weights: Weights) -> int:
    """Returns the bytes of a layer; codes that two layers share count at the first."""
    shared = layer.tied_to is not None and not weights.format(layer.id).is_float
    return 0 if shared else weights.nbytes[layer.id]


def _notes(builder: Builder) -> tuple[str, ...]:
    most = int(builder.config.max_position_embeddings)
    if builder.context == most:
        return ()
    return (f"texts have up to {builder.context} tokens; the model itself has {most} positions",)
