"""Exports a Hugging Face decoder through optimum to one ONNX graph that keeps a cache.

The graph takes input_ids, attention_mask, position_ids where the model has positions, and
past_key_values.N.key and .value, each (batch, heads, past tokens, head size); it gives logits and
present.N.key and .value. A past of no tokens begins a text, so that one graph serves both the
first pass over a prompt and every step after it.
"""

from __future__ import annotations

import inspect
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx_ir
import torch
from onnx_ir.passes import common
from onnxscript import version_converter

from lamella.errors import LoweringError
from lamella.graph.calls import find_calls, weight_owners
from lamella.graph.export import OPSET, check_labels
from lamella.graph.passes.label import SCOPES, label
from lamella.graph.passes.simplify import simplify
from lamella.graph.passes.strip import strip

_TASK = "text-generation-with-past"
_LIBRARY = "transformers"
_TEXT = frozenset({"input_ids", "attention_mask", "position_ids"})

# The version of the file format that came with OPSET.
_IR_VERSION = 10

# The newest operator set that the TorchScript exporter, which optimum drives, can write.
_TORCHSCRIPT_OPSET = 20

# The text that is traced: short, so that models of a short context can be exported too, and
# longer than one token, because the masks of a single token are traced without their rows.
_TRACED = {"batch_size": 2, "sequence_length": 4}


def is_decoder(module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a module is a transformers model that continues a text, fed with text alone.

    Args:
        module: any module.
        args: its positional example inputs; the first one of a decoder is input_ids.
        kwargs: its example inputs by name.
    """
    return generates_text(module) and len(args) <= 1 and set(kwargs) <= _TEXT


def generates_text(module: torch.nn.Module) -> bool:
    """Whether a module is a transformers model that predicts the next token of a text."""
    # Only a program that has imported transformers can hold one of its models.
    if _LIBRARY not in sys.modules:
        return False
    from transformers import PreTrainedModel

    return (
        isinstance(module, PreTrainedModel)
        and bool(module.can_generate())
        and module.main_input_name == "input_ids"
        and not module.config.is_encoder_decoder
    )


def obstacle(module: torch.nn.Module) -> str:
    """Returns why a decoder cannot be exported with its cache, or nothing if it can."""
    try:
        tasks_manager = _tasks_manager()
    except ImportError:
        return "optimum-onnx is not installed: pip install 'lamella[huggingface]'"
    kind = _model_type(module)
    try:
        tasks = tasks_manager.get_supported_tasks_for_model_type(
            kind, "onnx", library_name=_LIBRARY
        )
    except KeyError:
        tasks = {}
    return "" if _TASK in tasks else f"optimum has no form with a cache for {kind} models"


def export_decoder(
    module: torch.nn.Module, program: torch.export.ExportedProgram, layer_ids: Collection[str]
) -> onnx_ir.Model:
    """Exports a decoder with its cache; equal modules give equal bytes.

    Layers are labelled as `graph.export.export_onnx` does it, and the module is left as it was.

    Args:
        module: a transformers model in eval mode, for which `obstacle` finds nothing.
        program: the module without its cache, as torch.export captured it: the oracle of how
            often each layer is called.
        layer_ids: qualified names of the modules to label.

    Raises:
        LoweringError: optimum cannot export the model, or a layer is not found in the graph.
    """
    expected = Counter(call.layer for call in find_calls(program, layer_ids))
    with quiet(), _untouched(module), torch.random.fork_rng(devices=[]):
        try:
            model = _export(module)
        except Exception as error:  # whatever tracing and the exporter raise
            raise LoweringError(
                f"optimum cannot export {type(module).__name__} with its cache: {error}; to lower "
                "it without one, write a spec whose model() wraps it in a torch.nn.Module"
            ) from error
    owners = weight_owners(module.state_dict(), layer_ids)
    _note_scopes(model, layer_ids)
    label(model, _with_copies(model, owners))
    check_labels(model, layer_ids, expected)
    version_converter.convert_version(model, OPSET)
    model.ir_version = _IR_VERSION
    simplify(model)
    strip(model)
    check_labels(model, layer_ids, expected)
    return model


def generation_settings(module: torch.nn.Module) -> dict[str, Any]:
    """Returns how a decoder begins, ends, and how many tokens it holds; {} for other modules.

    The keys are those of the manifest: eos_token_ids, bos_token_id, context_length; what the
    model does not say is left out.
    """
    if not generates_text(module):
        return {}
    settings: Any = module.generation_config
    config: Any = module.config
    ends = settings.eos_token_id
    found = {
        "eos_token_ids": [ends] if isinstance(ends, int) else list(ends or ()),
        "bos_token_id": settings.bos_token_id,
        "context_length": getattr(config.get_text_config(), "max_position_embeddings", None),
    }
    return {key: value for key, value in found.items() if value not in (None, [])}


@contextmanager
def quiet() -> Iterator[None]:
    """Hides what torch and transformers warn of in their own code; errors are raised."""
    with warnings.catch_warnings():
        # Python values become constants while tracing; tests compare other lengths with torch.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", "You are using the legacy", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", "Exporting aten::index operator", UserWarning)
        yield


def _export(module: Any) -> onnx_ir.Model:
    """Returns the graph of optimum; it shares its weights with the module."""
    constructor = _tasks_manager().get_exporter_config_constructor(
        "onnx", model=module, task=_TASK, model_type=_model_type(module), library_name=_LIBRARY
    )
    config = constructor(module.config, use_past=True, use_past_in_inputs=True)
    for name, value in (config.values_override or {}).items():
        setattr(module.config, name, value)
    module.config.return_dict = True
    every_token = {"logits_to_keep": 0} if _keeps_logits(module) else {}
    inputs = config.rename_ambiguous_inputs(config.generate_dummy_inputs("pt", **_TRACED))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "decoder.onnx"
        with torch.no_grad(), config.patch_model_for_export(module, model_kwargs=every_token):
            _write(module, inputs, config, file)
        model = onnx_ir.load(file)
    _attach_weights(model, module.state_dict())
    return model


def _write(module: Any, inputs: dict[str, Any], config: Any, file: Path) -> None:
    """Writes the graph without weights: folding would copy many of them, and writing all."""
    ordered = config.ordered_inputs(module)
    torch.onnx.export(
        module,
        (inputs,),
        file,
        input_names=list(ordered),
        output_names=list(config.outputs),
        dynamic_axes={**ordered, **config.outputs},
        opset_version=_TORCHSCRIPT_OPSET,
        dynamo=False,
        do_constant_folding=False,
        export_params=False,
    )


def _keeps_logits(module: torch.nn.Module) -> bool:
    """Whether the forward of a model can be told for how many tokens it gives logits."""
    return "logits_to_keep" in inspect.signature(module.forward).parameters


def _attach_weights(model: onnx_ir.Model, state: Mapping[str, torch.Tensor]) -> None:
    """Makes the weights, which are inputs of the graph so far, views of those of the module."""
    inputs = model.graph.inputs
    for value in [value for value in inputs if value.name in state]:
        inputs.remove(value)
        value.const_value = onnx_ir.Tensor(state[str(value.name)].numpy(), name=value.name)
        model.graph.register_initializer(value)


def _tasks_manager() -> Any:
    """Returns optimum's register of exports, with those to ONNX entered."""
    import optimum.exporters.onnx.model_configs  # noqa: F401
    from optimum.exporters.tasks import TasksManager

    return TasksManager


def _model_type(module: Any) -> str:
    return str(getattr(module.config, "export_model_type", module.config.model_type))


@contextmanager
def _untouched(module: torch.nn.Module) -> Iterator[None]:
    """Takes back what optimum writes on a module: its forward, and the settings of its parts."""
    configs = {id(part.config): part.config for part in module.modules() if hasattr(part, "config")}
    settings = [(vars(config), dict(vars(config))) for config in configs.values()]
    forward = vars(module).get("forward")
    try:
        yield
    finally:
        for now, before in settings:
            now.clear()
            now.update(before)
        vars(module).pop("forward", None)
        if forward is not None:
            vars(module)["forward"] = forward


def _note_scopes(model: onnx_ir.Model, layer_ids: Collection[str]) -> None:
    """Writes the path of the layer, which the name of a node tells, where `label` looks for it."""
    for node in model.graph:
        scope, _, operator = str(node.name).rpartition("/")
        node.metadata_props[SCOPES] = str([_layer_of(scope, layer_ids), operator])


def _layer_of(scope: str, layer_ids: Collection[str]) -> str:
    """Returns the one layer that ran in a scope such as /decoder/layers.0/fc1, "" if there is none.

    A module that is passed over, because its parent calls its children, is missing in a scope.
    """
    path = scope.strip("/").replace("/", ".")
    if path in layer_ids:
        return path
    parts = path.split(".")
    fitting = [
        layer for layer in layer_ids if layer.endswith(f".{parts[-1]}") and _within(parts, layer)
    ]
    return fitting[0] if len(fitting) == 1 else ""


def _within(parts: Sequence[str], layer: str) -> bool:
    """Whether the parts of a path come in this order among those of a layer's id."""
    rest = iter(layer.split("."))
    return all(part in rest for part in parts)


def _with_copies(
    model: onnx_ir.Model, owners: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Lets nodes read a parameter itself where the exporter made it a copy of an equal one."""
    found = dict(owners)
    for node in model.graph:
        source = node.inputs[0] if node.op_type == "Identity" else None
        if source is not None and source.is_initializer():
            name = str(source.name)
            found[name] = (*found.get(name, ()), *owners.get(str(node.outputs[0].name), ()))
    common.IdentityEliminationPass()(model)
    return found
