"""The float operations of native/KERNELS.md, written with whole float32 arrays.

Every step rounds where the contract says. `rows` are (rows, cols); other arrays have any shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint32]

LANES = 16
SHIFT = np.float32(1.5 * 2**23)
# Around the 8 and 16 floats of a register and of a block, and the widths of real layers.
LENGTHS = (*range(1, 41), 63, 64, 65, 576, 1536)
TINY = 2.0**-149
# A float32 operation rounds its result by at most this share of it.
UNIT = 2.0**-24

# Zero, denormals, the smallest normal, where functions change their formula, where exp ends.
SIZES = [0.0, TINY, 3e-42, 2.0**-126, 1e-20, 0.625, 0.875, 1, 4, 16, 87.4, 88.72283, 88.72284]
SIZES += [88.8, 103.97, 103.98, 104, 128, 1e10, 1e20, 3.4e38, np.inf, np.nan]
EXTREMES = np.array([*SIZES, *(-size for size in SIZES)], np.float32)


def bits(values: Float) -> Bits:
    """Returns what must be equal where results are."""
    return values.view(np.uint32)


def draw(seed: int, *shape: int, scale: float = 2.0) -> Float:
    """Returns normal numbers of the standard deviation `scale`."""
    normal = np.random.default_rng(seed).standard_normal(shape)
    return (scale * normal).astype(np.float32)


def draw_bits(seed: int, *shape: int) -> Float:
    """Returns floats of any kind: random bits, among them NaN, infinity and denormals."""
    random = np.random.default_rng(seed).integers(0, 2**32, shape, dtype=np.uint32)
    values: Float = random.view(np.float32)
    special = np.random.default_rng(seed + 1).choice(EXTREMES, shape)
    return np.where(random % 4 == 0, special, values)


def fused(a: Float, b: Float | np.float32, c: Float | np.float32) -> Float:
    """Returns a * b + c, rounded once.

    The product is exact in float64. The sum is rounded to odd, so that the second rounding, to
    float32, gives what a single one would.
    """
    product = np.multiply(a, b, dtype=np.float64)
    addend = np.asarray(c, np.float64)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)
    even = (total.view(np.uint64) & 1) == 0
    inexact = np.isfinite(total) & (error != 0)
    toward = np.where(error > 0, np.inf, -np.inf)
    return np.where(inexact & even, np.nextafter(total, toward), total).astype(np.float32)


def polynomial(coefficients: tuple[str, ...], x: Float) -> Float:
    """Returns Horner's rule, from the highest power down."""
    total = np.full_like(x, float.fromhex(coefficients[0]))
    for text in coefficients[1:]:
        total = fused(total, x, np.full_like(x, float.fromhex(text)))
    return total


def constant(text: str) -> np.float32:
    """Returns the float32 that a hexadecimal literal names."""
    return np.float32(float.fromhex(text))


def exp(x: Float) -> Float:
    """Returns e^x."""
    tail = ("0x1.6a23d6p-10", "0x1.123a2p-7", "0x1.5558f2p-5", "0x1.555492p-3", "0x1.fffffcp-2")
    lower = np.where(x < -104, np.float32(-104), x)
    bounded = np.where(lower > 89, np.float32(89), lower)
    shifted = fused(bounded, constant("0x1.715476p+0"), SHIFT)
    n = shifted - SHIFT
    near = fused(-n, constant("0x1.62e43p-1"), bounded)
    r = fused(-n, constant("-0x1.05c61p-29"), near)
    sum_ = fused(polynomial(tail, r), r * r, r) + np.float32(1)
    # The bits of shifted hold n, counted from those of SHIFT.
    power = shifted.view(np.int32) - 0x4B400000
    half = power >> 1
    rest = power - half
    once = sum_ * ((half + 127) << 23).view(np.float32)
    return once * ((rest + 127) << 23).view(np.float32)


def sigmoid(x: Float) -> Float:
    """Returns 1 / (1 + e^-x)."""
    power = exp(-np.abs(x))
    above: Float = np.where(x < 0, power, np.float32(1))
    return above / (np.float32(1) + power)


def tanh(x: Float) -> Float:
    """Returns the hyperbolic tangent."""
    series = ("-0x1.76ac26p-8", "0x1.5256dap-6", "-0x1.b8444ap-5", "0x1.110768p-3")
    a = np.abs(x)
    square = a * a
    near = fused(polynomial((*series, "-0x1.555534p-2"), square) * square, a, a)
    far = np.float32(1) - np.float32(2) / (exp(a + a) + np.float32(1))
    return np.copysign(np.where(a < np.float32(0.625), near, far), x)


def erf(x: Float) -> Float:
    """Returns the error function."""
    series = ("-0x1.463bf4p-11", "0x1.4a07ecp-8", "-0x1.b6fdfep-6", "0x1.ce21d8p-4")
    decay = ("-0x1.3a3a64p-17", "0x1.3f1d92p-12", "-0x1.d3b35p-9", "0x1.82c7d8p-6")
    a = np.abs(x)
    near = fused(polynomial((*series, "-0x1.81271p-2", "0x1.06eba6p-3"), a * a), a, a)
    bounded = np.where(a > 4, np.float32(4), a)
    slope = polynomial((*decay, "-0x1.b26b96p-4", "-0x1.454064p-1", "-0x1.20ed6ep+0"), bounded)
    far = np.float32(1) - exp(slope * bounded)
    return np.copysign(np.where(a < np.float32(0.875), near, far), x)


def relu(x: Float) -> Float:
    """Returns x, and 0 where x is below 0."""
    return np.where(x < 0, np.float32(0), x)


def relu6(x: Float) -> Float:
    """Returns x between 0 and 6."""
    return np.where(relu(x) > 6, np.float32(6), relu(x))


def gelu(x: Float) -> Float:
    """Returns x / 2 * (1 + erf(x / sqrt(2)))."""
    bounded = np.where(x < -16, np.float32(-16), x)
    half = bounded * np.float32(0.5)
    return fused(half, erf(bounded * constant("0x1.6a09e6p-1")), half)


def gelu_tanh(x: Float) -> Float:
    """Returns x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))."""
    bounded = np.where(x < -16, np.float32(-16), x)
    half = bounded * np.float32(0.5)
    cubic, linear = constant("0x1.2444f2p-5"), constant("0x1.988454p-1")
    return fused(half, tanh(bounded * fused(bounded * bounded, cubic, linear)), half)


def silu(x: Float) -> Float:
    """Returns x * sigmoid(x)."""
    bounded = np.where(x < -128, np.float32(-128), x)
    return bounded * sigmoid(bounded)


def hard_swish(x: Float) -> Float:
    """Returns x * min(max(x + 3, 0), 6) / 6."""
    bounded = np.where(x < -4, np.float32(-4), x)
    return bounded * (relu6(bounded + np.float32(3)) * constant("0x1.555556p-3"))


def minimum(a: Float, b: Float) -> Float:
    """Returns the lesser; NaN if one is, of two zeros b."""
    lesser: Float = np.where(a < b, a, b)
    return np.where(np.isnan(a), a, lesser)


def maximum(a: Float, b: Float) -> Float:
    """Returns the greater; NaN if one is, of two zeros b."""
    greater: Float = np.where(a > b, a, b)
    return np.where(np.isnan(a), a, greater)


def swiglu(a: Float, b: Float) -> Float:
    """Returns silu(a) * b."""
    return silu(a) * b


def tree(lanes: Float) -> Float:
    """Returns the (rows, 1) sums of (rows, 16) lanes: 8 + 8, 4 + 4, 2 + 2, 1 + 1."""
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = lanes[:, :half] + lanes[:, half:]
    return lanes


def blocks(rows: Float) -> Any:
    """Yields the (rows, 16) blocks of the columns, the last filled up with zeros."""
    filled = np.pad(rows, ((0, 0), (0, -rows.shape[1] % LANES)))
    return np.split(filled, filled.shape[1] // LANES, axis=1)


def total(rows: Float) -> Float:
    """Returns the (rows, 1) sums of the rows."""
    lanes = np.zeros((len(rows), LANES), np.float32)
    for block in blocks(rows):
        lanes = lanes + block
    return tree(lanes)


def total_of_squares(rows: Float) -> Float:
    """Returns the (rows, 1) sums of the squares."""
    lanes = np.zeros((len(rows), LANES), np.float32)
    for block in blocks(rows):
        lanes = fused(block, block, lanes)
    return tree(lanes)


def softmax(rows: Float) -> Float:
    """Returns the shares of e^x in the sum of its row."""
    powers = exp(rows - rows.max(axis=1, keepdims=True))
    return powers / total(powers)


def rmsnorm(rows: Float, weight: Float, eps: float) -> Float:
    """Returns x / sqrt(mean of x^2 + eps) * weight."""
    mean = total_of_squares(rows) / np.float32(rows.shape[1])
    scale: Float = np.float32(1) / np.sqrt(mean + np.float32(eps))
    return rows * scale * weight


def layernorm(rows: Float, weight: Float, bias: Float, eps: float) -> Float:
    """Returns (x - mean) / sqrt(variance + eps) * weight + bias."""
    count = np.float32(rows.shape[1])
    difference = rows - total(rows) / count
    variance = total_of_squares(difference) / count
    scale = np.float32(1) / np.sqrt(variance + np.float32(eps))
    return fused(difference * scale, np.broadcast_to(weight, rows.shape), bias)


def rope(x: Float, cosine: Float, sine: Float, position: npt.NDArray[np.int32]) -> Float:
    """Returns (tokens, heads, 2 * half) heads, turned by the angles of their positions."""
    first, second = np.split(x, 2, axis=2)
    c, s = cosine[position][:, None], sine[position][:, None]
    return np.concatenate([fused(-second, s, first * c), fused(first, s, second * c)], axis=2)
