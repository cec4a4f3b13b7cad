"""Mirrors sdk/lamella/benchmark/kernels/operations.py and the verb `lamella kernels bench`."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lamella import _native
from lamella.benchmark.kernels import networks, operations
from lamella.benchmark.kernels.case import Setup
from lamella.benchmark.kernels.operations import OPS, Plan, build, check_shape, time_kernels
from lamella.cli.entry import app
from lamella.errors import DeviceError, InputError

# A small shape for each number of sides, and what stands for the two networks.
SMALL = {
    ("tokens", "columns", "rows"): "2x70x40",
    ("tokens", "columns", "rows", "percent"): "1x64x40x30",
    ("size", "inputs", "outputs", "kernel", "stride"): "9x5x12x3x2",
    ("size", "channels", "kernel", "stride"): "8x20x5x2",
    ("tokens", "positions", "heads", "kv_heads", "width"): "4x4x6x3x17",
    ("logits",): "300",
    ("lines", "width"): "30x17",
    ("tokens", "heads", "half"): "3x2x9",
    ("tokens", "columns"): "3x70",
    ("tokens", "rows", "columns"): "3x40x70",
    ("tokens", "positions", "kv_heads", "width"): "3x7x2x17",
}
NETWORK = [
    networks.Layer(12, 3, 8, 3, 2),
    networks.Layer(3, 8, 16, 1, 1),
    networks.Layer(3, 16, 16, 3, 1, depthwise=True),
    networks.Layer(3, 8, 4, 1, 1, source=3),
]


# Who takes part, by what the name of an operation begins with.
PEERS = {
    "linear_w[248]a8": {"onnxruntime", "torch"},
    "linear_w[356]a8|linear_(w.)?f..|attention": {"torch"},
    "sparse": {"dense"},
    "(convolutions|conv2d|depthwise)_w": {"onnxruntime", "onnxruntime_fp32"},
    "(convolutions|conv2d|depthwise)_f": {"onnxruntime_fp32"},
    "argmax|sample$": {"torch"},
    "sample_": set[str](),
    "quantize|dequantize|transpose": {"onnxruntime"},
    "gelu|silu|swiglu|mul|rmsnorm|layernorm|softmax|embed|kv_store|pool2d": {"torch"},
    "rope|linear_input": set[str](),
}


@pytest.mark.parametrize("op", OPS)
def test_every_kernel_and_peer_of_an_operation_runs(
    op: str, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(networks.NETWORKS, "small", lambda: NETWORK)
    case = build(op, SMALL.get(OPS[op].sides, "small"), setup)
    assert case.op == op
    assert [case.peers.keys()] == [who for start, who in PEERS.items() if re.match(start, op)]
    assert case.kernels
    for call in [*case.kernels.values(), *case.peers.values()]:
        call.run()


def test_bytes_and_operations_of_a_call(setup: Setup) -> None:
    linear = build("linear_w4a8", "2x64x40", setup, 16)
    assert linear.format == "w4g16"
    assert linear.nbytes == 64 * 40 // 2 + 64 // 16 * 40 * 2
    assert linear.operations == 2 * 2 * 64 * 40
    image = build("conv2d_w8a8", "9x5x12x3x2", setup)
    assert (image.nbytes, image.operations) == (0, 2 * 5 * 5 * 12 * 5 * 9)
    attention = build("attention_int8", "2x6x4x2x16", setup)
    assert attention.nbytes == 2 * 6 * 2 * (16 + 4)
    assert attention.operations == 4 * (5 + 6) * 4 * 16


def test_every_shape_of_a_run_is_one_that_may_be_asked_for() -> None:
    for op in OPS:
        for shape in OPS[op].shapes:
            check_shape(op, shape)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ops": ("gemm",)}, "--op knows linear_w2a8, .*, not 'gemm'"),
        ({"peers": ("tvm",)}, "--peers knows onnxruntime, torch, llamacpp, not 'tvm'"),
        ({"threads": (0,)}, "--threads must be from 1 to 1024, not 0"),
        ({"group": 24, "ops": ("linear_w4a8",)}, r"--group must be one of \(16, .*, not 24"),
        ({"group": 32, "ops": ("argmax",)}, "argmax has no groups"),
        ({"shape": "1x2", "ops": ("linear_w4a8",)}, "is tokens x columns x rows, such as 1x4096"),
        ({"shape": "1x2x3x4", "ops": ("linear_w4a8",)}, "is tokens x columns x rows"),
        ({"shape": "0x2x3", "ops": ("linear_w4a8",)}, "is tokens x columns x rows"),
        ({"shape": "1x2y3", "ops": ("linear_w4a8",)}, "is numbers joined by x, .* not '1x2y3'"),
        ({"shape": "1x2x9999999", "ops": ("linear_w4a8",)}, "not 1x2x9999999"),
        ({"shape": "1x2x3x100", "ops": ("sparse_linear_w4a8",)}, "rows x percent"),
        ({"shape": "5x4x6x3x16", "ops": ("attention_f32",)}, "tokens x positions"),
        ({"shape": "4x4x6x4x16", "ops": ("attention_f32",)}, "heads x kv_heads"),
        ({"shape": "vgg", "ops": ("convolutions_f32",)}, "is efficientnet_lite0 or resnet18"),
    ],
)
def test_what_no_operation_understands_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(**given)


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "last_cache_bytes", lambda: 1 << 50)
    with pytest.raises(DeviceError, match="eight times the last cache"):
        time_kernels(Plan(ops=("argmax",)))


def test_a_set_without_kernels_is_refused() -> None:
    with pytest.raises(InputError, match="--isa avx1024 has no kernel"):
        time_kernels(Plan(ops=("argmax",), isas=("avx1024",)))


def test_a_short_run_takes_the_first_shape_of_each_operation() -> None:
    assert Plan(all_shapes=False).shapes("linear_w4a8") == ("1x4096x4096",)
    assert Plan().shapes("linear_w4a8") == OPS["linear_w4a8"].shapes
    assert Plan(ops=("linear_w4a8",), shape="1x32x8").shapes("linear_w4a8") == ("1x32x8",)


def bench(*argv: str) -> list[dict[str, Any]]:
    command = ["kernels", "bench", "--rounds", "3", "-o", "json", *argv]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def test_the_verb_prints_a_row_for_each_kernel_and_number_of_threads() -> None:
    shape = ["--shape", "1x64x128", "--group", "16", "--threads", "2,1"]
    rows = bench("--op", "linear_w4a8,linear_w3a8", *shape)
    here = [row["name"] for row in _native.kernels() if row["allowed"]]
    fast = [name for name in here if not name.endswith("portable")] or here
    expected = [
        (bits, threads, name)
        for bits in (4, 3)
        for threads in (2, 1)
        for name in fast
        if name.startswith(f"linear_w{bits}a8")
    ]
    assert [(r["format"], r["threads"], f"{r['op']}_{r['isa']}") for r in rows] == [
        (f"w{bits}g16", threads, name) for bits, threads, name in expected
    ]
    for row in rows:
        assert row["shape"] == "1x64x128"
        assert min(row["median_us"], row["gbps"], row["bandwidth_fraction"], row["gops"]) > 0
        assert row["arithmetic_fraction"] > 0
        assert row["ratio_torch"] > 0
        assert (row["ratio_onnxruntime"] is None) == (row["op"] == "linear_w3a8")


def test_peers_may_stay_away_and_the_portable_kernel_take_part() -> None:
    rows = bench("--op", "argmax", "--shape", "100", "--peers", "", "--isa", "portable")
    assert [(row["isa"], row["threads"], row["ratio_torch"]) for row in rows] == [
        ("portable", 1, None)
    ]
    assert np.isfinite(rows[0]["spread"])


def test_the_verb_refuses_threads_that_are_no_number() -> None:
    wrong = CliRunner().invoke(app, ["kernels", "bench", "--threads", "two"])
    assert wrong.exit_code == 2
