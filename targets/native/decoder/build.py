"""Builds the program of a decoder: what a forward pass of its module computes, with caches.

Inputs: `ids`, `positions` (in the text) and `places` (in the caches) of some tokens, the position
that each place of the caches has when those are stored, -1 for none, and `rows`, the tokens of
whom logits are wanted. Who runs it decides what the caches keep: places and positions are
explicit, so that a cache may grow or be a ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lamella.frontend.model import Model
from lamella.targets.native.decoder.architecture import architecture, epsilon, function, window
from lamella.targets.native.decoder.rotary import context_of, tables
from lamella.targets.native.decoder.weights import Weights
from lamella.targets.native.program import Program, Symbol, Value

CacheFormat = Literal["f32", "f16", "int8", "int4"]
_BITS = {"f32": 32, "f16": 16, "int8": 8, "int4": 4}
_DTYPES = {32: "float32", 16: "float16", 8: "int8", 4: "uint8"}


@dataclass(frozen=True, slots=True)
class DecoderOptions:
    """How a decoder is lowered.

    `cache` is the format of keys and values, `block` the most tokens of a run, `context` how many
    tokens a text may have: None for all that the model has, within a bound.
    """

    cache: CacheFormat = "f16"
    block: int = 512
    context: int | None = None


class Builder:
    """The state of one lowering."""

    def __init__(self, model: Model, module: Any, options: DecoderOptions) -> None:
        self.module, self.config, self.options = module, module.config, options
        self.kind = architecture(module)
        self.context = context_of(self.config, options.context)
        self.block = min(options.block, self.context)
        self.bits = _BITS[options.cache]
        self.heads = self.config.num_attention_heads
        self.kv_heads = self.config.num_key_value_heads
        self.width = module.model.layers[0].self_attn.head_dim
        self.hidden = self.config.hidden_size
        self.program = Program(
            [
                Symbol("tokens", 1, self.block),
                Symbol("rows", 1, self._most_rows()),
                Symbol("capacity", 1, self.context, opening=True),
            ]
        )
        self.weights = Weights(model, module, self.program)

    def _most_rows(self) -> int:
        """Returns how many rows of logits fit where gate and up of a block lie at other times."""
        wide: int = 2 * self.config.intermediate_size * self.block
        return max(1, min(self.block, wide // int(self.config.vocab_size)))

    def build(self) -> Program:
        """Returns the program."""
        program = self.program
        ids, self.positions, self.places = (
            program.input(name, "int32", ("tokens",)) for name in ("ids", "positions", "places")
        )
        self.key_positions = program.input("key_positions", "int32", ("capacity",))
        rows = program.input("rows", "int32", ("rows",))
        inner = self.module.model
        self.rotary = self._rotary(inner.rotary_emb)
        local = self._rotary(inner.rotary_emb_local) if self.kind.local_rotary else self.rotary
        x = self._embedding(ids)
        for index in range(len(inner.layers)):
            turned = local if window(self.config, index) else self.rotary
            x = self._layer(x, index, turned)
        wanted = program.call("take", (x, rows), ("rows", self.hidden))
        normed = self._norm(wanted, inner.norm, "model.norm")
        [logits] = self.weights.linear(normed, self.weights.matrices("lm_head"))
        program.outputs["logits"] = self._bounded(logits)
        return program

    def _rotary(self, rotary: Any) -> tuple[Value, Value]:
        cosine, sine = tables(rotary, self.context, self.width)
        return self.program.constant(cosine), self.program.constant(sine)

    def _embedding(self, ids: Value) -> Value:
        x = self.weights.embedding("model.embed_tokens", ids, self.hidden)
        if not self.kind.unit_offset:
            return x
        return self._scaled(x, self.hidden**0.5, "mul")

    def _scaled(self, x: Value, factor: float, operation: str) -> Value:
        number = self.program.constant(np.array([factor], np.float32))
        return self.program.call(operation, (x, number), x.axes)

    def _bounded(self, logits: Value) -> Value:
        cap = getattr(self.config, "final_logit_softcapping", None)
        if cap is None:
            return logits
        small = self._scaled(logits, cap, "div")
        return self._scaled(self.program.call("tanh", (small,), small.axes), cap, "mul")

    def _norm(self, x: Value, norm: Any, label: str) -> Value:
        weight = norm.weight.detach().float().numpy()
        gain = self.program.constant(weight + np.float32(1) if self.kind.unit_offset else weight)
        return self.program.call(
            "rmsnorm", (x, gain), x.axes, numbers=(epsilon(norm),), label=label
        )

    def _layer(self, x: Value, index: int, rotary: tuple[Value, Value]) -> Value:
        layer, name = self.module.model.layers[index], f"model.layers.{index}"
        parts = [
            (self._attention, "input_layernorm", "post_attention_layernorm"),
            (self._mlp, "pre_feedforward_layernorm", "post_feedforward_layernorm"),
        ]
        if not self.kind.outer_norms:
            parts[1] = (self._mlp, "post_attention_layernorm", "")
        for part, before, behind in parts:
            y = part(self._norm(x, getattr(layer, before), f"{name}.{before}"), index, rotary)
            if self.kind.outer_norms:
                y = self._norm(y, getattr(layer, behind), f"{name}.{behind}")
            x = self.program.call("add", (y, x), x.axes)
        return x

    def _attention(self, x: Value, index: int, rotary: tuple[Value, Value]) -> Value:
        name = f"model.layers.{index}.self_attn"
        attention = self.module.model.layers[index].self_attn
        rows = [heads * self.width for heads in (self.heads, self.kv_heads, self.kv_heads)]
        flat = self._linears(x, name, "qkv_proj", ("q_proj", "k_proj", "v_proj"), rows)
        counts = (self.heads, self.kv_heads, self.kv_heads)
        query, key, value = (
            self.program.view(part, ("tokens", heads, self.width))
            for part, heads in zip(flat, counts, strict=True)
        )
        if self.kind.head_norms:
            query = self._norm(query, attention.q_norm, f"{name}.q_norm")
            key = self._norm(key, attention.k_norm, f"{name}.k_norm")
        query, key = (
            self.program.call("rope", (part, *rotary, self.positions), part.axes, label=name)
            for part in (query, key)
        )
        caches = [state for part in (key, value) for state in self._stored(part, name)]
        y = self.program.call(
            "attention",
            (
                self.program.view(query, (1, *query.axes)),
                *caches,
                *(self.positions, self.key_positions, None),
            ),
            (1, *query.axes),
            integers=(self.bits, window(self.config, index)),
            numbers=(float(attention.scaling),),
            label=name,
        )
        [out] = self.weights.linear(
            self.program.view(y, ("tokens", rows[0])), self.weights.matrices(f"{name}.o_proj")
        )
        return out

    def _stored(self, part: Value, name: str) -> tuple[Value, Value | None]:
        """Adds a cache and returns it with its scales."""
        items = (self.width + 1) // 2 if self.bits == 4 else self.width
        cache = self.program.state(_DTYPES[self.bits], (1, "capacity", self.kv_heads, items))
        scale = None
        if self.bits < 16:
            scale = self.program.state("float32", (1, "capacity", self.kv_heads))
        states = [cache] if scale is None else [cache, scale]
        self.program.update("kv_store", (part, self.places), states, (self.bits,), label=name)
        return cache, scale

    def _mlp(self, x: Value, index: int, _rotary: tuple[Value, Value]) -> Value:
        name, wide = f"model.layers.{index}.mlp", self.config.intermediate_size
        gate, up = self._linears(x, name, "gate_up_proj", ("gate_proj", "up_proj"), [wide, wide])
        kind = function(self.config)
        if kind == "silu":
            y = self.program.call("swiglu", (gate, up), gate.axes, label=name)
        else:
            gate = self.program.call(kind, (gate,), gate.axes, label=name)
            y = self.program.call("mul", (gate, up), gate.axes, label=name)
        [out] = self.weights.linear(y, self.weights.matrices(f"{name}.down_proj"))
        return out

    def _linears(
        self, x: Value, name: str, joined: str, single: Sequence[str], rows: Sequence[int]
    ) -> list[Value]:
        """Adds layers that read the same input: one of all their rows, or one each."""
        if self.kind.joined:
            matrices = self.weights.matrices(f"{name}.{joined}", rows)
        else:
            matrices = [self.weights.matrices(f"{name}.{part}")[0] for part in single]
        return self.weights.linear(x, matrices)
