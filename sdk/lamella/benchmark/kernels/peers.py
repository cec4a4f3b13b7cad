"""The same operations in onnxruntime and torch, with the same number of threads.

Nodes of onnxruntime run many at a time, so that starting a session counts little. Its threads spin
inside a run, as they like to, and sleep between runs: they would keep the processors from others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

from lamella.benchmark.kernels.case import Array, Call

PEERS = ("onnxruntime", "torch", "llamacpp")
CONTRIBUTED = "com.microsoft"
# Widths that MatMulNBits takes.
NBITS = (2, 4, 8)
# Places of a node in a run of a single layer or operation.
BESIDE = 8


def matmul_nbits(x: Array, codes: Sequence[Array], bits: int, group: int, threads: int) -> Call:
    """MatMulNBits with inputs quantized to 8 bits, once for each (rows, groups, bytes) of codes."""
    rows, groups, _ = codes[0].shape
    scale = np.full((rows, groups), 0.01, np.float32)
    sizes = {"K": x.shape[1], "N": rows, "bits": bits, "block_size": group, "accuracy_level": 4}
    nodes = [
        helper.make_node("MatMulNBits", ["x", f"w{i}", "s"], [f"y{i}"], domain=CONTRIBUTED, **sizes)
        for i in range(len(codes))
    ]
    weights = {f"w{i}": array for i, array in enumerate(codes)}
    run = session(nodes, {"x": x}, {"s": scale}, threads, outside=weights)
    return Call(run, len(codes))


def torch_linear(x: Array, weights: Sequence[Array], threads: int) -> Call:
    """A float32 linear layer, another (rows, cols) weight each time."""
    torch.set_num_threads(threads)
    tensor, turn = torch.from_numpy(x), cycle([torch.from_numpy(weight) for weight in weights])
    return Call(lambda: F.linear(tensor, next(turn)))


def torch_attention(
    query: Array, caches: Sequence[tuple[Array, Array]], causal: bool, threads: int
) -> Call:
    """Scaled dot products in float32: query (heads, tokens, dim), caches (heads, positions, dim).

    Query heads in groups share a head of the cache.
    """
    torch.set_num_threads(threads)
    q = torch.from_numpy(query)[None]
    turn = cycle([(torch.from_numpy(k)[None], torch.from_numpy(v)[None]) for k, v in caches])

    def attend() -> torch.Tensor:
        keys, values = next(turn)
        return F.scaled_dot_product_attention(q, keys, values, is_causal=causal, enable_gqa=True)

    return Call(attend)


def torch_argmax(logits: Array, threads: int) -> Call:
    """The index of the greatest logit, as a Python number."""
    torch.set_num_threads(threads)
    tensor = torch.from_numpy(logits)
    return Call(lambda: tensor.argmax().item())


def torch_sample(logits: Array, threads: int) -> Call:
    """A token by the probabilities of all logits."""
    torch.set_num_threads(threads)
    tensor = torch.from_numpy(logits)
    return Call(lambda: torch.multinomial(tensor.softmax(0), 1).item())


def node(kind: str, x: Array, constants: dict[str, Array], threads: int) -> Call:
    """One operation of onnxruntime, of an array and constants."""
    nodes = [helper.make_node(kind, ["x", *constants], [f"y{i}"]) for i in range(BESIDE)]
    return Call(session(nodes, {"x": x}, constants, threads), BESIDE)


def session(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Array],
    constants: dict[str, Array],
    threads: int,
    *,
    outside: dict[str, Array] | None = None,
    optimize: bool = False,
) -> partial[Any]:
    """Returns a run of the nodes; what no node reads is an output.

    Constants `outside` are handed over without a copy into the model.
    """
    outside = outside or {}
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    initializers += [_outside(name, array) for name, array in outside.items()]
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in outside.values()]
    options.add_external_initializers(list(outside), values)
    model = _model(nodes, inputs, initializers).SerializeToString()
    runtime = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return partial(runtime.run, None, inputs)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Array],
    initializers: Sequence[onnx.TensorProto],
) -> onnx.ModelProto:
    used = {name for node in nodes for name in node.input}
    outputs = [name for node in nodes for name in node.output if name not in used]
    given = [
        helper.make_tensor_value_info(name, _dtype(array), array.shape)
        for name, array in inputs.items()
    ]
    taken = [helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = helper.make_graph(nodes, "peer", given, taken, initializers)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid(CONTRIBUTED, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _outside(name: str, array: Array) -> onnx.TensorProto:
    """Describes a constant that the session is given beside the model."""
    tensor = TensorProto(name=name, dims=array.shape, data_location=TensorProto.EXTERNAL)
    tensor.data_type = _dtype(array)
    tensor.external_data.add(key="location", value="outside")
    return tensor


def _dtype(array: Array) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))
