"""Runs an ONNX model in onnxruntime, the oracle of everything that is lowered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir
import onnxruntime

from lamella.errors import InputError, LoweringError

Array = npt.NDArray[np.generic]

# A protocol buffer message cannot exceed this; larger models need their weights beside them.
_MESSAGE_LIMIT = 2**31 - 1


def run(
    model: onnx_ir.Model | bytes,
    feeds: Mapping[str, Array],
    *,
    optimise: bool = True,
) -> dict[str, Array]:
    """Runs a model once on the CPU and returns its outputs by name.

    Args:
        model: the model, or its serialised bytes.
        feeds: one array per input of the model; shapes and dtypes as the model declares them.
        optimise: whether onnxruntime may rewrite the graph, as it does by default.

    Raises:
        LoweringError: onnxruntime refuses the model.
        InputError: the feeds do not fit the model's inputs.
    """
    session = open_session(model, optimise=optimise)
    names = [output.name for output in session.get_outputs()]
    wanted = {entry.name for entry in session.get_inputs()}
    if missing := wanted - set(feeds):
        raise InputError(
            f"no value for the model's input {', '.join(sorted(missing))}; given are: "
            f"{', '.join(sorted(feeds)) or 'none'}"
        )
    try:
        results = session.run(names, {name: feeds[name] for name in sorted(wanted)})
    except Exception as error:  # onnxruntime's own classes are not public
        raise InputError(f"onnxruntime cannot run the model on these inputs: {error}") from error
    return dict(zip(names, results, strict=True))


def open_session(
    model: onnx_ir.Model | bytes, *, optimise: bool = True, threads: int = 0
) -> onnxruntime.InferenceSession:
    """Opens a CPU session; `threads` 0 leaves the number to onnxruntime.

    Raises:
        LoweringError: onnxruntime refuses the model, or it is too large for one message.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model if isinstance(model, bytes) else serialise(model)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes are not public
        raise LoweringError(f"onnxruntime refuses the model: {error}") from error


def serialise(model: onnx_ir.Model) -> bytes:
    """Returns the bytes of an ONNX file that holds its weights; equal models give equal bytes.

    Raises:
        LoweringError: the weights exceed the 2 GiB that one protocol buffer message can hold.
    """
    tensors = [value.const_value for value in model.graph.initializers.values()]
    nbytes = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    if nbytes > _MESSAGE_LIMIT:
        raise LoweringError(
            f"the ONNX model has {nbytes / 2**30:.1f} GiB of weights and one file holds at most "
            "2 GiB; choose formats of fewer bits"
        )
    return bytes(onnx_ir.to_proto(model).SerializeToString(deterministic=True))
