"""Types of the compiled module; `native/KERNELS.md` describes the packed layout."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict, TypeVar, final, type_check_only

import numpy as np
import numpy.typing as npt

_Bytes = npt.NDArray[np.uint8]
_Real = npt.NDArray[np.float32]
_Ints = npt.NDArray[np.int32]
_Code = TypeVar("_Code", npt.NDArray[np.uint8], npt.NDArray[np.int8])
_Item = TypeVar("_Item", bound=np.generic)
_Grid = tuple[float, int]
_Scale = npt.NDArray[np.float16] | npt.NDArray[np.float32]

class _FormatTable(TypedDict):
    """The rows of `native/base/formats.inc`."""

    weight_bits: tuple[int, ...]
    groups: tuple[int, ...]

class _KernelRow(TypedDict):
    """A kernel as every operation has them, in the order of its `kernels.inc`.

    `needs` and `lacks` are features of processors; `lacks` are those that this one does not have.
    `allowed` is False too where LAMELLA_ISA names a smaller set.
    """

    operation: str
    name: str
    needs: list[str]
    lacks: list[str]
    allowed: bool

@type_check_only
class _Kernel:
    """One row of `native/kernels/<operation>/kernels.inc`.

    <operation>_kernels() returns every kernel of this build, best first; the last runs everywhere.
    Where they take weights of several widths or kinds, that holds for those of each.
    <operation>_kernel() returns the best one that `isa()` allows. Arrays are C-contiguous. Methods
    raise ValueError for a wrong dtype, shape or number, for a weight of another width or kind, and
    where the kernel does not run on this processor.
    """

    @property
    def name(self) -> str: ...
    @property
    def runs_here(self) -> bool: ...

@final
class PackKernel(_Kernel):
    """`bits` is 1, the width of a mask, or a width of `formats()`.

    With row_bytes(cols, bits) = ceil(cols * bits / 8):
    """

    def pack(self, codes: _Bytes, bits: int) -> _Bytes:
        """Packs (rows, cols) codes below 2^bits into (rows, row_bytes(cols, bits)) bytes."""

    def unpack(self, packed: _Bytes, cols: int, bits: int) -> _Bytes:
        """Restores (rows, cols) codes."""

    def compact(self, codes: _Bytes, mask: _Bytes) -> _Bytes:
        """Returns the codes that a packed (rows, row_bytes(cols, 1)) mask keeps, row by row."""

    def expand(self, kept: _Bytes, mask: _Bytes, zero: _Bytes, cols: int, group: int) -> _Bytes:
        """Restores (rows, cols) codes; one that is not kept becomes the zero of its group.

        `zero` is (rows, ceil(cols / group)); `group` is a multiple of 8 or at least `cols`.
        """

@final
class ThreadPool:
    """Threads that run the slices of a kernel's output; the caller is one of them.

    Raises ValueError unless `threads` is 1 to 1024. A child process after fork() needs its own.
    """

    def __init__(self, threads: int) -> None: ...
    @property
    def threads(self) -> int: ...

@final
class LinearWeight:
    """A packed weight of `linear_a8`; `native/KERNELS.md` describes the arrays.

    Shapes, with strips = ceil(rows / 8), blocks = ceil(cols / 32) and groups = ceil(cols / group),
    1 where `group` is 0 and 2 * blocks where it is 16: `codes` (strips, blocks, 32 * bits), `scale`
    and `zero` (strips, groups, 8). `scale` is float16, or float32 where `group` is 0. Without
    `zero`, every zero point is 2^(bits-1). The arrays are kept and not copied. Raises ValueError
    for a size that no format has and for arrays that do not fit it.
    """

    def __init__(
        self,
        rows: int,
        cols: int,
        bits: int,
        group: int,
        codes: _Bytes,
        scale: _Scale,
        zero: _Bytes | None = None,
    ) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def codes(self) -> _Bytes: ...
    @property
    def scale(self) -> _Scale: ...
    @property
    def zero(self) -> _Bytes | None: ...

@final
class LinearInputKernel(_Kernel):
    def run(
        self, x: _Real
    ) -> tuple[npt.NDArray[np.int8], _Real, npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Quantizes (tokens, cols) and returns codes, scale, sum and half sum.

        With blocks = ceil(cols / 32): codes (tokens, at least 32 * blocks), the others
        (blocks, tokens). The half sum is that of the first 16 codes of a block.
        """

@final
class LinearKernel(_Kernel):
    """A kernel for weights of `bits`."""

    @property
    def bits(self) -> int: ...
    def run(
        self,
        weight: LinearWeight,
        x: _Real,
        bias: _Real | None = None,
        pool: ThreadPool | None = None,
    ) -> _Real:
        """Returns (tokens, rows) for x (tokens, cols) and bias (rows)."""

@final
class ElementwiseKernel(_Kernel):
    """Its methods are `operations.inc`; two arrays are broadcast, over at most 6 axes."""

    def exp(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def sigmoid(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def tanh(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def erf(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def relu(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def relu6(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def gelu(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def gelu_tanh(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def silu(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def hard_swish(self, x: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def add(self, a: _Real, b: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def sub(self, a: _Real, b: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def mul(self, a: _Real, b: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def div(self, a: _Real, b: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def minimum(self, a: _Real, b: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def maximum(self, a: _Real, b: _Real, pool: ThreadPool | None = None) -> _Real: ...
    def swiglu(self, a: _Real, b: _Real, pool: ThreadPool | None = None) -> _Real: ...

@final
class SoftmaxKernel(_Kernel):
    def run(self, x: _Real) -> _Real:
        """Returns the softmax over the last axis of (..., cols)."""

@final
class RmsnormKernel(_Kernel):
    def run(self, x: _Real, weight: _Real, eps: float) -> _Real:
        """Normalizes the last axis of (..., cols); weight is (cols), eps 0 or more."""

@final
class LayernormKernel(_Kernel):
    def run(self, x: _Real, weight: _Real, bias: _Real, eps: float) -> _Real:
        """Normalizes the last axis of (..., cols); weight and bias are (cols), eps 0 or more."""

@final
class RopeKernel(_Kernel):
    def run(self, x: _Real, cosine: _Real, sine: _Real, position: npt.NDArray[np.int32]) -> _Real:
        """Turns (tokens, heads, 2 * half) by the (length, half) tables at position (tokens)."""

@final
class KvCache:
    """A cache of keys or values; `native/KERNELS.md` describes the formats.

    `data` is (positions, kv_heads, head_dim) float32, float16 or int8, or for 4-bit codes
    (positions, kv_heads, ceil(head_dim / 2)) uint8; `scale` is (positions, kv_heads) float32 for
    the two formats of integers. The arrays are kept and not copied. Raises ValueError for arrays
    that do not fit.
    """

    def __init__(
        self, data: npt.NDArray[np.generic], head_dim: int, scale: _Real | None = None
    ) -> None: ...
    @property
    def data(self) -> npt.NDArray[Any]: ...
    @property
    def scale(self) -> _Real | None: ...
    @property
    def head_dim(self) -> int: ...

@final
class AttentionMask:
    """Which keys a token sees: what `causal_mask` and `padding_mask` return."""

@final
class AttentionKernel(_Kernel):
    def run(
        self,
        query: _Real,
        keys: KvCache,
        values: KvCache,
        mask: AttentionMask,
        scale: float,
        pool: ThreadPool | None = None,
    ) -> _Real:
        """Returns softmax(query keys^T * scale) values, (tokens, heads, head_dim) as `query`.

        The kv_heads of the caches divide heads. A token that sees no key gets zeros.
        """

@final
class KvStoreKernel(_Kernel):
    def run(
        self,
        x: _Real,
        cache: KvCache,
        place: npt.NDArray[np.int32],
        pool: ThreadPool | None = None,
    ) -> None:
        """Writes (tokens, kv_heads, head_dim) to the positions `place` (tokens) of a cache.

        Refuses a place outside the cache or one that comes twice, and read-only arrays.
        """

@final
class EmbedKernel(_Kernel):
    def run(
        self,
        table: LinearWeight | _Scale,
        id: npt.NDArray[np.int32],
        pool: ThreadPool | None = None,
    ) -> _Real:
        """Returns the rows `id` (tokens) of a (rows, cols) table; refuses an id outside it."""

@final
class Sampling:
    """How `SampleKernel` draws; `step` counts the tokens of a seed.

    `temperature` 0 takes the most likely token. `top_k` keeps that many of the likeliest (0: all);
    `top_p` then keeps the fewest whose probabilities reach it. Raises ValueError for a negative
    number, a temperature that is not finite, and a `top_p` outside (0, 1].
    """

    def __init__(
        self,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        step: int = 0,
    ) -> None: ...

@final
class SampleKernel(_Kernel):
    """Its methods refuse logits with NaN or plus infinity, and those with no finite value."""

    def argmax(self, logits: _Real) -> int:
        """Returns the lowest id of the greatest of (vocabulary,) logits."""

    def sample(self, logits: _Real, sampling: Sampling) -> int:
        """Returns a token for (vocabulary,) logits, the same one on every processor."""

@final
class Conv2dWeight:
    """A packed weight of `conv2d_a8`; `native/KERNELS.md` describes the arrays.

    `rows` counts those of all groups, `cols` the input channels of one. Shapes, with
    strips = groups * ceil(rows / groups / 8) and blocks = ceil(cols / 32): `codes`
    (strips, height * width, blocks, 32 * bits), `sum` (8 * strips + 8). The arrays are kept and not
    copied. Raises ValueError for sizes that cannot be packed and for arrays that do not fit them.
    """

    def __init__(
        self,
        rows: int,
        kernel: tuple[int, int],
        cols: int,
        bits: int,
        groups: int,
        codes: _Bytes,
        sum: _Ints,
    ) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def kernel(self) -> tuple[int, int]: ...
    @property
    def cols(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def groups(self) -> int: ...
    @property
    def codes(self) -> _Bytes: ...
    @property
    def sum(self) -> _Ints: ...

@final
class DepthwiseWeight:
    """A packed weight of `depthwise_a8`.

    Shapes, with stored = rows rounded up to a multiple of 16: `codes`
    (ceil(height * width / 2), stored, 2), `sum` (stored). The arrays are kept and not copied.
    """

    def __init__(
        self, rows: int, kernel: tuple[int, int], codes: npt.NDArray[np.int8], sum: _Ints
    ) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def kernel(self) -> tuple[int, int]: ...
    @property
    def codes(self) -> npt.NDArray[np.int8]: ...
    @property
    def sum(self) -> _Ints: ...

@final
class Conv2dLayer:
    """A weight, the grid of its input and what follows its sums: `kernels/static/epilogue.h`.

    Grids are (scale, zero point). `scale` (rows) is that of the weights, `bias` (rows) is float32,
    or int32 in units of a sum. With an `output` grid the layer gives codes, and `low` and `high`
    are codes, otherwise float32 and real numbers. `residual` is the grid of codes to be added.
    `activation` is none, gelu, silu, gelu_tanh, sigmoid or hard_swish; relu is the bound `low`.
    Raises ValueError for arguments of the wrong kind or range.
    """

    def __init__(
        self,
        weight: Conv2dWeight,
        *,
        input: _Grid,
        scale: _Real,
        bias: _Ints | _Real | None = None,
        output: _Grid | None = None,
        residual: _Grid | None = None,
        low: float | None = None,
        high: float | None = None,
        activation: str = "none",
    ) -> None: ...
    @property
    def weight(self) -> Conv2dWeight: ...
    @property
    def offset(self) -> _Ints: ...
    @property
    def step(self) -> _Real: ...
    @property
    def bias(self) -> _Real: ...
    @property
    def integers(self) -> tuple[int, int, int, int]:
        """What a program stores: input zero, zero, residual zero, activation."""

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """What a program stores: low, high, residual step, unit."""

@final
class DepthwiseLayer:
    """The same as Conv2dLayer for a weight of `depthwise_a8`."""

    def __init__(
        self,
        weight: DepthwiseWeight,
        *,
        input: _Grid,
        scale: _Real,
        bias: _Ints | _Real | None = None,
        output: _Grid | None = None,
        residual: _Grid | None = None,
        low: float | None = None,
        high: float | None = None,
        activation: str = "none",
    ) -> None: ...
    @property
    def weight(self) -> DepthwiseWeight: ...
    @property
    def offset(self) -> _Ints: ...
    @property
    def step(self) -> _Real: ...
    @property
    def bias(self) -> _Real: ...
    @property
    def integers(self) -> tuple[int, int, int, int]:
        """What a program stores: input zero, zero, residual zero, activation."""

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """What a program stores: low, high, residual step, unit."""

@final
class Conv2dKernel(_Kernel):
    """A kernel for weights of `bits`, which is 4, 6 or 8."""

    @property
    def bits(self) -> int: ...
    def run(
        self,
        layer: Conv2dLayer,
        x: _Bytes,
        residual: _Bytes | None = None,
        *,
        window: Window | None = None,
        pool: ThreadPool | None = None,
    ) -> _Bytes | _Real:
        """Returns (batch, height, width, rows) for x (batch, height, width, groups * cols).

        A linear layer has a kernel of (1, 1): (tokens, rows) for x (tokens, cols). The kernel of
        `window` is that of the weight; without a window it moves by 1 and there is no padding.
        """

@final
class DepthwiseKernel(_Kernel):
    def run(
        self,
        layer: DepthwiseLayer,
        x: _Bytes,
        residual: _Bytes | None = None,
        *,
        window: Window | None = None,
        pool: ThreadPool | None = None,
    ) -> _Bytes | _Real:
        """Returns (batch, height, width, rows) for x (batch, height, width, rows)."""

@final
class SparseWeight:
    """A weight of `sparse_linear_a8` of 4 or 8 bits; `native/KERNELS.md` describes the arrays.

    `codes` (bytes + 64,), `masks` (strips, blocks, 4) and `starts` (strips, blocks); the rest is
    that of LinearWeight. Raises ValueError for arrays that do not fit each other.
    """

    def __init__(
        self,
        rows: int,
        cols: int,
        bits: int,
        group: int,
        codes: _Bytes,
        masks: npt.NDArray[np.uint64],
        starts: npt.NDArray[np.uint32],
        scale: _Scale,
        zero: _Bytes | None = None,
    ) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def codes(self) -> _Bytes: ...
    @property
    def masks(self) -> npt.NDArray[np.uint64]: ...
    @property
    def starts(self) -> npt.NDArray[np.uint32]: ...
    @property
    def scale(self) -> _Scale: ...
    @property
    def zero(self) -> _Bytes | None: ...

@final
class SparseLinearKernel(_Kernel):
    """A kernel for weights of `bits`, which is 4 or 8."""

    @property
    def bits(self) -> int: ...
    def run(
        self,
        weight: SparseWeight,
        x: _Real,
        bias: _Real | None = None,
        pool: ThreadPool | None = None,
    ) -> _Real:
        """Returns the bits of LinearKernel.run for the weight with all codes written out."""

@final
class FloatWeight:
    """A weight of `linear_float`: `values` (ceil(rows / 8), cols, 8) float32 or float16.

    The array is kept and not copied; what belongs to no row is ignored.
    """

    def __init__(self, rows: int, values: _Scale) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def values(self) -> _Scale: ...

@final
class LinearFloatKernel(_Kernel):
    """A kernel for weights of `kind`."""

    @property
    def kind(self) -> str:
        """Returns "f32", "f16", "w4" or "w8"; the last two take a LinearWeight."""

    def run(
        self,
        weight: FloatWeight | LinearWeight,
        x: _Real,
        bias: _Real | None = None,
        activation: str = "none",
        pool: ThreadPool | None = None,
    ) -> _Real:
        """Returns (tokens, rows) for x (tokens, cols) and bias (rows).

        `activation` is none or one of `native/kernels/math/activations.inc`.
        """

@final
class Window:
    """The window of a convolution or a pool; the first of two numbers is that of the height.

    `padding` is (top, left, bottom, right). Raises ValueError for a number outside 1 to 65535, or
    0 to 65535 for padding.
    """

    def __init__(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilation: tuple[int, int] = (1, 1),
    ) -> None: ...
    @property
    def kernel(self) -> list[int]: ...
    @property
    def stride(self) -> list[int]: ...
    @property
    def padding(self) -> list[int]: ...
    @property
    def dilation(self) -> list[int]: ...

@final
class Conv2dF32Weight:
    """A weight of `conv2d_f32`: `values` (groups, strips, ky, kx, inputs, 8) float32.

    strips = ceil(outputs / groups / 8); `inputs` are those of a group. The array is kept.
    """

    def __init__(self, outputs: int, values: _Real) -> None: ...
    @property
    def outputs(self) -> int: ...
    @property
    def values(self) -> _Real: ...

@final
class Conv2dF32Kernel(_Kernel):
    def run(
        self,
        weight: Conv2dF32Weight,
        window: Window,
        x: _Real,
        bias: _Real | None = None,
        low: float = ...,
        high: float = ...,
        pool: ThreadPool | None = None,
    ) -> _Real:
        """Convolves x (images, height, width, channels) and keeps the result in [low, high].

        `bias` is (outputs). Without bounds, nothing is cut off.
        """

@final
class DepthwiseF32Kernel(_Kernel):
    def run(
        self,
        weight: _Real,
        window: Window,
        x: _Real,
        bias: _Real | None = None,
        low: float = ...,
        high: float = ...,
        pool: ThreadPool | None = None,
    ) -> _Real:
        """Convolves each channel with its own window: weight (ky, kx, channels)."""

@final
class PoolKernel(_Kernel):
    """Its methods take x (images, height, width, channels)."""

    def average(
        self,
        window: Window,
        x: _Real,
        with_padding: bool = False,
        pool: ThreadPool | None = None,
    ) -> _Real:
        """Returns the averages of windows; `with_padding` counts padding as zeros."""

    def maximum(self, window: Window, x: _Real, pool: ThreadPool | None = None) -> _Real:
        """Returns the largest of windows; a NaN is passed over."""

@final
class QuantizeKernel(_Kernel):
    """A grid is real = scale * (code - zero).

    `scale` and `zero` are (1), or one for each element of the last axis; the dtype of `zero` is
    that of the codes.
    """

    def quantize(
        self, x: _Real, scale: _Real, zero: _Code, pool: ThreadPool | None = None
    ) -> _Code:
        """Returns the nearest code of each element, ties to even."""

    def dequantize(
        self, codes: _Code, scale: _Real, zero: _Code, pool: ThreadPool | None = None
    ) -> _Real:
        """Returns what the codes stand for."""

@final
class TransposeKernel(_Kernel):
    def run(
        self, x: npt.NDArray[_Item], order: Sequence[int], pool: ThreadPool | None = None
    ) -> npt.NDArray[_Item]:
        """Returns x with axis order[i] as axis i, as a contiguous array.

        At most 6 axes, and elements of 1, 2 or 4 bytes.
        """

@final
class PeakKernel(_Kernel):
    """Multiplies in registers: codes of `bits` 4 or 8 with bytes, or of 32, float32 numbers."""

    @property
    def bits(self) -> int: ...
    @property
    def products(self) -> int:
        """Returns the products of a round."""

    def run(self, rounds: int, weight: int, input: int, pool: ThreadPool | None = None) -> int:
        """Returns the sum of rounds * products times weight * input, modulo 2^32.

        `weight` is at most 15 for 4 bits and 127 for others, `input` at most 127. For float32,
        rounds * weight * input is at most 2^18, so that every sum is exact.
        """

def formats() -> _FormatTable: ...
def isa() -> list[str]:
    """Returns the names of what kernels may use: the processor's, or what LAMELLA_ISA says."""

def isa_of_this_processor() -> list[str]:
    """Returns the names of what the processor offers, whatever LAMELLA_ISA says."""

def can_hide_features() -> bool:
    """Returns whether `hide_features` works: on Linux and x86-64, where CPUID can fault."""

def hide_features(isa: str) -> None:
    """Lets all who ask the processor from now on see `isa` and nothing beyond it.

    Holds for this thread and those that it starts, until the process ends or executes another
    program, and not for what has asked before: call it before other libraries are imported.

    Raises ValueError unless `isa` is one of `isa_of_this_processor()` but portable, RuntimeError
    where CPUID cannot fault and on a second call.
    """

def hidden_beyond() -> str:
    """Returns what `hide_features` was called with, or nothing."""

def kernels() -> list[_KernelRow]:
    """Returns every kernel of this build, operation by operation."""

def pack_kernels() -> list[PackKernel]: ...
def pack_kernel() -> PackKernel: ...
def usable_processors() -> int:
    """Returns how many processors this process may run on."""

def read_bytes(bytes: _Bytes, pool: ThreadPool | None = None) -> int:
    """Reads an array as fast as memory gives it; returns the exclusive or of its 64-bit words.

    Raises ValueError unless the size is a multiple of 64.
    """

def pack_linear(
    codes: _Bytes, scale: _Scale, zero: _Bytes | None, bits: int, group: int
) -> LinearWeight:
    """Packs (rows, cols) codes below 2^bits with (rows, groups) scales and zero points.

    `group` is 16, 32, 64 or 128 with float16 scales, or 0 with one float32 scale per row.
    """

def linear_input_kernels() -> list[LinearInputKernel]: ...
def linear_input_kernel() -> LinearInputKernel: ...
def linear_a8_kernels() -> list[LinearKernel]: ...
def linear_a8_kernel(bits: int) -> LinearKernel: ...
def elementwise_kernels() -> list[ElementwiseKernel]: ...
def elementwise_kernel() -> ElementwiseKernel: ...
def softmax_kernels() -> list[SoftmaxKernel]: ...
def softmax_kernel() -> SoftmaxKernel: ...
def rmsnorm_kernels() -> list[RmsnormKernel]: ...
def rmsnorm_kernel() -> RmsnormKernel: ...
def layernorm_kernels() -> list[LayernormKernel]: ...
def layernorm_kernel() -> LayernormKernel: ...
def rope_kernels() -> list[RopeKernel]: ...
def rope_kernel() -> RopeKernel: ...
def causal_mask(
    query_position: npt.NDArray[np.int32], key_position: npt.NDArray[np.int32], window: int = 0
) -> AttentionMask:
    """Lets a query (tokens) see the keys (positions) from 0 to its own position.

    A negative key position marks an unused place. With `window`, only that many positions up to
    the query's own are seen. The arrays are kept and not copied.
    """

def padding_mask(kept: npt.NDArray[np.bool_] | None = None) -> AttentionMask:
    """Lets every query see the keys that `kept` (positions) says, or all."""

def attention_kernels() -> list[AttentionKernel]: ...
def attention_kernel() -> AttentionKernel: ...
def kv_store_kernels() -> list[KvStoreKernel]: ...
def kv_store_kernel() -> KvStoreKernel: ...
def embed_kernels() -> list[EmbedKernel]: ...
def embed_kernel() -> EmbedKernel: ...
def sample_kernels() -> list[SampleKernel]: ...
def sample_kernel() -> SampleKernel: ...
def pack_conv2d(codes: _Bytes, bits: int, groups: int = 1) -> Conv2dWeight:
    """Packs (rows, height, width, cols) codes, weight + 2^(bits-1), for 4, 6 or 8 bits."""

def pack_depthwise(codes: _Bytes) -> DepthwiseWeight:
    """Packs (rows, height, width) codes, weight + 128."""

def conv2d_a8_kernels() -> list[Conv2dKernel]: ...
def conv2d_a8_kernel(bits: int) -> Conv2dKernel: ...
def depthwise_a8_kernels() -> list[DepthwiseKernel]: ...
def depthwise_a8_kernel() -> DepthwiseKernel: ...
def pack_sparse(weight: LinearWeight, keep: npt.NDArray[np.bool_]) -> SparseWeight:
    """Keeps the codes where `keep` (rows, cols) is true; the others become zero points."""

def sparse_linear_a8_kernels() -> list[SparseLinearKernel]: ...
def sparse_linear_a8_kernel(bits: int) -> SparseLinearKernel: ...
def pack_float(weight: _Scale) -> FloatWeight:
    """Packs (rows, cols) float32 or float16 numbers."""

def linear_float_kernels() -> list[LinearFloatKernel]: ...
def linear_float_kernel(kind: str) -> LinearFloatKernel: ...
def pack_conv2d_f32(weight: _Real, groups: int = 1) -> Conv2dF32Weight:
    """Packs a (outputs, ky, kx, channels / groups) weight."""

def conv2d_f32_kernels() -> list[Conv2dF32Kernel]: ...
def conv2d_f32_kernel() -> Conv2dF32Kernel: ...
def depthwise_f32_kernels() -> list[DepthwiseF32Kernel]: ...
def depthwise_f32_kernel() -> DepthwiseF32Kernel: ...
def pool2d_kernels() -> list[PoolKernel]: ...
def pool2d_kernel() -> PoolKernel: ...
def quantize_kernels() -> list[QuantizeKernel]: ...
def quantize_kernel() -> QuantizeKernel: ...
def transpose_kernels() -> list[TransposeKernel]: ...
def transpose_kernel() -> TransposeKernel: ...
def peak_kernels() -> list[PeakKernel]: ...
def peak_kernel(bits: int) -> PeakKernel: ...
def engine_operations() -> list[tuple[str, int]]:
    """Returns name and version of every operation of the engine."""

@final
class Session:
    """A program of `native/engine/PROGRAM.md` with memory of its own.

    `symbols` are the sizes that are chosen on opening; the others have their largest. Arrays of
    inputs are C-contiguous. Raises ValueError for a damaged program, one that this engine cannot
    run, and inputs that do not fit it.
    """

    def __init__(
        self,
        program: bytes,
        weights: _Bytes,
        threads: int = 1,
        symbols: dict[str, int] = ...,
    ) -> None: ...
    def run(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Returns copies of the outputs."""

    def profile(self, inputs: dict[str, npt.NDArray[Any]]) -> list[float]:
        """Runs and returns the seconds of each call."""

    def record(self, inputs: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Runs and returns a copy of the first result of each call."""

    def calls(self) -> list[tuple[str, str]]:
        """Returns operation and layer of each call."""

    def forget(self) -> None:
        """Fills the states with zeros."""

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of weights, arena, state and scratch."""

# Artifacts, as native/engine/file reads them.

_Port = tuple[str, str, tuple[int | str | None, ...]]

class _ManifestRow(TypedDict):
    """What the engine takes from a manifest."""

    lamella: str
    target: str
    model: str
    inputs: list[_Port]
    outputs: list[_Port]
    max_abs_error: float
    min_cosine: float | None
    eos_token_ids: list[int]
    bos_token_id: int | None
    context_length: int | None

@final
class ArtifactFile:
    """The bytes of a .lamella file, checked by FORMAT.md. Methods raise ValueError."""

    def __init__(self, content: bytes, structure: bool = False) -> None:
        """With `structure`, damage inside programs and attachments is left to `verify`."""

    def sections(self) -> list[tuple[str, int, bytes, bytes]]:
        """Returns label, offset, content and digest of each."""

    def manifest(self) -> _ManifestRow: ...
    def canary_inputs(self) -> dict[str, npt.NDArray[Any]]: ...
    def canary_outputs(self) -> dict[str, npt.NDArray[Any]]: ...
    def root(self) -> bytes: ...
    def signer(self) -> bytes | None: ...
    def verify(self) -> None: ...
    def verify_signature(
        self, public_key: bytes, ed25519: Callable[[bytes, bytes, bytes], bool]
    ) -> None:
        """Calls `ed25519` with public key, message and signature."""

@final
class Sha256Kernel:
    """One way to compute SHA-256."""

    @property
    def name(self) -> str: ...
    @property
    def runs_here(self) -> bool: ...
    def digest(self, pieces: Iterable[bytes]) -> bytes: ...

def sha256_kernels() -> list[Sha256Kernel]: ...
def parse_json(text: bytes) -> Any: ...

# engine/tokenizer
class TokenStream:
    """Text from tokens, one by one; gives out whole characters only."""

    def push(self, id: int) -> str: ...
    def finish(self) -> str: ...

class Tokenizer:
    """Reads tokenizer.bin in place; native/engine/TOKENIZER.md."""

    def __init__(self, blob: bytes) -> None: ...
    def encode(self, text: str | bytes, add_special: bool = True) -> list[int]: ...
    def decode(self, ids: Sequence[int], skip_special: bool = True) -> str: ...
    def stream(self, skip_special: bool = True) -> TokenStream: ...
    def apply_chat(self, messages: Sequence[tuple[str, str]], generate: bool = True) -> str:
        """Joins (role, content); the text is to be encoded without `add_special`."""

    @property
    def vocabulary(self) -> int:
        """Every id is below this."""

class Generator:
    """Text from the program of a decoder; `native/engine/generate.h` says how.

    Raises ValueError for a program that is no decoder, a token that it does not have, and a text
    that is too long.
    """

    def __init__(
        self,
        program: bytes,
        weights: _Bytes,
        threads: int = 1,
        symbols: dict[str, int] = ...,
    ) -> None: ...
    def append(self, ids: Sequence[int], rows: int = 1) -> _Real:
        """Appends tokens and returns the (rows, vocabulary) logits of the last ones."""

    def extend(self, ids: Sequence[int]) -> None:
        """Appends tokens; the logits of the last are kept for `next`."""

    def next(self, sampling: Sampling) -> int:
        """Chooses the next token and appends it; the step of `sampling` is not used."""

    def generate(
        self,
        prompt: Sequence[int],
        sink: Callable[[int], bool | None],
        most: int = 64,
        sampling: Sampling = ...,
        stops: Sequence[int] = ...,
    ) -> str:
        """Appends a prompt and gives tokens to `sink` until it returns False.

        Returns:
            How the text ended: "most", "stop", "caller" or "full".
        """

    def reset(self) -> None:
        """Empties the text."""

    @property
    def length(self) -> int: ...
    @property
    def most_length(self) -> int: ...
    @property
    def most_rows(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...
