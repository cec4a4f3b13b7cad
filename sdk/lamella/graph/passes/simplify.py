"""Folds constants and removes operators that do nothing, without touching a labelled node."""

from __future__ import annotations

import copy

import onnx_ir
from onnx_ir.passes import common
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules

from lamella.graph.passes.label import LAYER

# The exporter's own list also folds batch normalisation and biases into weights; a weight must
# leave the graph as it entered, because compression decides what is stored for it.
_RULES = (
    rules.add_0_rule,
    rules.sub_0_rule,
    rules.mul_by_1_rule,
    rules.div_by_1_rule,
    rules.dropout_inference_rule,
    rules.dropout_zero_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.cast_cast_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.transpose_transpose_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.cast_constant_of_shape_rule,
    rules.cast_constant_of_shape_without_value_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.materialize_reshape_shape_rule,
)

_ROUNDS = 2


def simplify(model: onnx_ir.Model) -> None:
    """Simplifies a model in place; labelled nodes, their weights and the interface stay."""
    common.InlinePass()(model)
    # A rule keeps the last graph that it saw, and with it the weights of a model.
    own = copy.deepcopy(_RULES)
    for _ in range(_ROUNDS):
        optimizer.fold_constants_ir(model, should_fold=_may_fold)
        rewriter.RewritePass(own)(model)
        common.RemoveUnusedNodesPass()(model)
    onnx_ir.passes.Sequential(
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        common.RemoveUnusedOpsetsPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
    )(model)


def _may_fold(node: onnx_ir.Node) -> bool | None:
    """Keeps a layer whose input is constant, a table of positions; None leaves the choice."""
    return False if LAYER in node.metadata_props else None
