"""Which operations and shapes there are to time, and how they are named on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from lamella.benchmark.kernels import arrays, decoder, ggml, images, linear, rows
from lamella.benchmark.kernels.case import Case, Memory, Setup
from lamella.benchmark.kernels.networks import NETWORKS, different_layers
from lamella.benchmark.kernels.peers import PEERS
from lamella.benchmark.kernels.timing import READ, Speed, time_case
from lamella.errors import DeviceError, InputError
from lamella.formats import GROUPS, WEIGHT_BITS
from lamella.progress import track

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# No image, layer or vocabulary is larger.
LARGEST = 1 << 20
# One token in layers of models with 1e8 and 8e9 weights, then a few tokens and a prompt.
LINEAR = (
    "1x4096x4096",
    "1x576x49152",
    "1x2048x8192",
    "1x4096x14336",
    "8x4096x4096",
    "64x4096x4096",
)
ZEROS = (50, 0, 25, 40, 60, 70, 80, 90)


@dataclass(frozen=True, slots=True)
class Op:
    """`build` makes a case of a setup, the name, the shape and, where `grouped`, the group.

    `sides` name the numbers of a shape; without them a shape is the name of a network. The first
    of `shapes` stands for all of them in a short run. What is not `threaded` takes one thread.
    """

    sides: tuple[str, ...]
    shapes: tuple[str, ...]
    build: Callable[..., Case]
    grouped: bool = False
    threaded: bool = True


def _linear() -> Iterator[tuple[str, Op]]:
    sides = ("tokens", "columns", "rows")
    for bits in WEIGHT_BITS:
        more = ("256x4096x4096",) if bits in (4, 8) else ()
        yield f"linear_w{bits}a8", Op(sides, LINEAR + more, linear.linear_a8, grouped=True)
    shapes = tuple(f"1x4096x4096x{zeros}" for zeros in ZEROS)
    for bits in (4, 8):
        sparse = Op((*sides, "percent"), shapes, linear.sparse_linear, grouped=True)
        yield f"sparse_linear_w{bits}a8", sparse
    for kind in ("f32", "f16", "w4f32", "w8f32"):
        grouped = kind.startswith("w")
        yield f"linear_{kind}", Op(sides, (LINEAR[0], LINEAR[-1]), linear.linear_float, grouped)


def _images() -> Iterator[tuple[str, Op]]:
    for form in ("w8a8", "w6a8", "w4a8", "f32"):
        yield f"convolutions_{form}", Op((), tuple(NETWORKS), images.network)
    wide = ("size", "inputs", "outputs", "kernel", "stride")
    shapes = tuple(str(layer) for layer in different_layers(depthwise=False))
    for form in ("w8a8", "w6a8", "w4a8", "f32"):
        yield f"conv2d_{form}", Op(wide, shapes, images.convolution)
    deep = ("size", "channels", "kernel", "stride")
    shapes = tuple(str(layer) for layer in different_layers(depthwise=True))
    for form in ("w8a8", "f32"):
        yield f"depthwise_{form}", Op(deep, shapes, images.convolution)


def _decoder() -> Iterator[tuple[str, Op]]:
    sides = ("tokens", "positions", "heads", "kv_heads", "width")
    shapes = ("1x2048x32x8x128", "512x512x9x3x64")
    for form in ("f32", "f16", "int8", "int4"):
        yield f"attention_{form}", Op(sides, shapes, decoder.attention)
    for op in ("argmax", *decoder.SAMPLING):
        yield op, Op(("logits",), ("49152",), decoder.choice, threaded=False)


def _arrays() -> Iterator[tuple[str, Op]]:
    for op in ("quantize", "dequantize"):
        yield op, Op(("lines", "width"), ("3136x144",), arrays.rounding)
    for form in ("f32", "u8"):
        yield (
            f"transpose_{form}",
            Op(("lines", "width"), ("64x3136", "1000x1000"), arrays.transpose),
        )


def _rows() -> Iterator[tuple[str, Op]]:
    lines = ("lines", "width")
    # The hidden layers of SmolLM2 and of a model of 4096 columns, its own first.
    for op in ("gelu", "silu", "swiglu", "mul"):
        yield op, Op(lines, ("256x1536", "1x1536", "1x14336", "64x14336"), rows.elementwise)
    wide = ("256x576", "1x576", "1x4096", "64x4096")
    for op in ("rmsnorm", "layernorm"):
        yield op, Op(lines, wide, rows.norm, threaded=False)
    yield "softmax", Op(lines, ("2304x256", "1x49152"), rows.norm, threaded=False)
    turned = ("256x9x32", "1x9x32", "1x32x64", "64x32x64")
    yield "rope", Op(("tokens", "heads", "half"), turned, rows.rope, threaded=False)
    yield "linear_input", Op(("tokens", "columns"), wide, rows.linear_input, threaded=False)
    for form in ("f32", "f16", "w4"):
        looked_up = ("256x49152x576", "1x49152x576")
        yield f"embed_{form}", Op(("tokens", "rows", "columns"), looked_up, rows.embed)
    for form in ("f32", "f16", "int8", "int4"):
        stored = ("256x256x3x64", "1x2048x3x64", "1x2048x8x128")
        yield (
            f"kv_store_{form}",
            Op(("tokens", "positions", "kv_heads", "width"), stored, rows.kv_store),
        )
    square = ("size", "channels", "kernel", "stride")
    # The end of EfficientNet-Lite0, and the stem of ResNet-18.
    yield "pool2d_average", Op(square, ("7x1280x7x7",), rows.pool2d)
    yield "pool2d_maximum", Op(square, ("112x64x3x2",), rows.pool2d)


OPS = dict([*_linear(), *_images(), *_decoder(), *_arrays(), *_rows()])


@dataclass(frozen=True, slots=True)
class Plan:
    """What to time: names of `OPS`, one shape or all or the first of each, and against whom."""

    ops: tuple[str, ...] = tuple(OPS)
    shape: str | None = None
    group: int | None = None
    threads: tuple[int, ...] = (1, 2)
    peers: tuple[str, ...] = PEERS[:2]
    isas: tuple[str, ...] | None = None
    rounds: int = 15
    all_shapes: bool = True

    def __post_init__(self) -> None:
        """Raises InputError for what no operation understands."""
        for given, known, option in ((self.ops, tuple(OPS), "op"), (self.peers, PEERS, "peers")):
            for name in given:
                if name not in known:
                    raise InputError(f"--{option} knows {', '.join(known)}, not {name!r}")
        for count in self.threads:
            if not 1 <= count <= 1024:
                raise InputError(f"--threads must be from 1 to 1024, not {count}")
        for op in self.ops:
            if self.shape is not None:
                check_shape(op, self.shape)
            if self.group is not None and not OPS[op].grouped:
                raise InputError(f"{op} has no groups; leave out --group {self.group}")
        if self.group is not None and self.group not in GROUPS:
            raise InputError(f"--group must be one of {GROUPS}, not {self.group}")

    def shapes(self, op: str) -> tuple[str, ...]:
        """Returns the shapes on which an operation is timed."""
        if self.shape is not None:
            return (self.shape,)
        return OPS[op].shapes if self.all_shapes else OPS[op].shapes[:1]


def check_shape(op: str, shape: str) -> None:
    """Raises InputError unless a shape has the numbers that an operation wants, or is a network."""
    sides = OPS[op].sides
    if not sides:
        if shape not in NETWORKS:
            raise InputError(f"--shape of {op} is {' or '.join(NETWORKS)}, not {shape!r}")
        return
    example = OPS[op].shapes[0]
    if not re.fullmatch(r"\d{1,7}(x\d{1,7})*", shape, re.ASCII):
        raise InputError(f"--shape is numbers joined by x, such as {example}, not {shape!r}")
    numbers = dict(zip(sides, map(int, shape.split("x")), strict=False))
    wrong = len(numbers) != len(sides) or shape.count("x") != len(sides) - 1
    limits = {"percent": (0, 99), "positions": (numbers.get("tokens", 1), LARGEST)}
    wrong = wrong or any(
        not low <= numbers[side] <= high
        for side in sides
        for low, high in [limits.get(side, (1, LARGEST))]
    )
    if wrong or numbers.get("heads", 0) % numbers.get("kv_heads", 1):
        raise InputError(f"--shape of {op} is {' x '.join(sides)}, such as {example}, not {shape}")


def time_kernels(plan: Plan) -> list[Speed]:
    """Times the kernels of a plan, case by case.

    Raises:
        DeviceError: the memory that is free does not hold what is larger than the last cache, or
            llama.cpp is a peer and cannot take part.
        InputError: a shape does not fit into it, or no kernel of a chosen set runs here.
    """
    if "llamacpp" in plan.peers and (reason := ggml.missing()):
        raise DeviceError(f"--peers llamacpp: {reason}")
    nbytes = max(2 * last_cache_bytes(), 4 * READ)
    if 4 * nbytes > psutil.virtual_memory().available:
        raise DeviceError(
            f"the benchmark needs {4 * nbytes / 1e6:,.0f} MB of free memory, eight times the last "
            "cache; close other programs"
        )
    memory = Memory(nbytes)
    setups = [Setup(memory, count, plan.peers, plan.isas) for count in plan.threads]
    alone = [Setup(memory, 1, plan.peers, plan.isas)]
    wanted = [
        (op, shape, setup)
        for op in plan.ops
        for shape in plan.shapes(op)
        for setup in (setups if OPS[op].threaded else alone)
    ]
    found: list[Speed] = []
    for op, shape, setup in track(wanted, "kernels"):
        case = build(op, shape, setup, plan.group)
        found += time_case(case, setup, plan.rounds)
    if not found:
        raise InputError(
            f"--isa {', '.join(plan.isas or ())} has no kernel for this that runs here"
        )
    return found


def build(op: str, shape: str, setup: Setup, group: int | None = None) -> Case:
    """Returns the case of an operation and a shape that `check_shape` lets pass."""
    one = OPS[op]
    if not one.sides:
        return one.build(setup, op, shape)
    sizes = tuple(map(int, shape.split("x")))
    return one.build(setup, op, sizes) if group is None else one.build(setup, op, sizes, group)


def last_cache_bytes() -> int:
    """Returns the size of the largest cache of the first processor, or 32 MiB where none says."""
    sizes = [path.read_text().strip() for path in CACHES.glob("index*/size")]
    found = [int(size[:-1]) << 10 for size in sizes if size.endswith("K")]
    return max(found, default=32 << 20)
