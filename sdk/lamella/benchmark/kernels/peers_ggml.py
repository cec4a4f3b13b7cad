"""Matrix products of llama.cpp.

Weights lie as llama.cpp itself would place them: where a kernel of the build wants them in another
order, such as several rows side by side, they are brought into it. Many products run at a time, so
that starting threads counts little.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np

from lamella.benchmark.kernels import ggml
from lamella.benchmark.kernels.case import Array, Call
from lamella.errors import DeviceError

# For each width of codes: the name of a peer, the number of its format in ggml.h, and of how many
# columns a line must be a multiple. Q4_0, Q5_0, Q8_0; Q2_K to Q6_K.
FORMATS = {
    2: (("llamacpp_k", 10, 256),),
    3: (("llamacpp_k", 11, 256),),
    4: (("llamacpp", 2, 32), ("llamacpp_k", 12, 256)),
    5: (("llamacpp", 6, 32), ("llamacpp_k", 13, 256)),
    6: (("llamacpp_k", 14, 256),),
    8: (("llamacpp", 8, 32),),
}
# Rows of random numbers, which a weight repeats: to quantize all of them takes many seconds.
ROWS = 64
TILES = b"AMX"


def described() -> str:
    """Returns what the build uses beyond AVX2, and whether it does."""
    used = [name for name in ggml.compiled_for() if name != "amx_int8" or not tiles_crash()]
    without = ", without AMX, which crashes in this build" if tiles_crash() else ""
    return f"llamacpp compiled for {', '.join(used) or 'AVX2 at most'}{without}"


def products(x: Array, rows: int, bits: int, nbytes: int, threads: int) -> Mapping[str, Call]:
    """A (tokens, cols) input by (rows, cols) weights of about `nbytes`, in formats of one width.

    Raises:
        DeviceError: a product is further from that of floats than its format explains.
    """
    found = {}
    for name, number, block in FORMATS[bits]:
        if x.shape[1] % block == 0:
            size = ggml.library().ggml_row_size(number, x.shape[1]) * rows
            kind = _placement(number, rows, x)
            product = Products(x, rows, (number, kind), max(1, nbytes // size), threads)
            product.check(2.0**-bits, name)
            found[name] = Call(product.run, product.count)
    return found


class Products:
    """`count` products of one (tokens, cols) input with a (rows, cols) weight each.

    `form` is the number of the format and the kind of memory for weights.
    """

    def __init__(
        self, x: Array, rows: int, form: tuple[int, int], count: int, threads: int
    ) -> None:
        """Draws the weights."""
        self.count, self._x, self._memory = count, x, ggml.Memory()
        self._y = np.empty((len(x), rows), np.float32)
        lib, memory, cols = ggml.library(), self._memory, x.shape[1]
        self._backend = memory.own(lib.ggml_backend_cpu_init(), lib.ggml_backend_free)
        lib.ggml_backend_cpu_set_n_threads(self._backend, threads)
        held, context = memory.context(count), memory.context(2 * count + 2)
        weights = [lib.ggml_new_tensor_2d(held, form[0], cols, rows) for _ in range(count)]
        memory.fill(held, form[1])
        given = lib.ggml_new_tensor_2d(context, ggml.F32, cols, len(x))
        self._results = [lib.ggml_mul_mat(context, weight, given) for weight in weights]
        self._graph = lib.ggml_new_graph_custom(context, 2 * count + 2, False)
        for result in self._results:
            lib.ggml_build_forward_expand(self._graph, result)
        memory.fill(context, ggml.plain_kind())
        lib.ggml_backend_tensor_set(given, x.ctypes.data, 0, x.nbytes)
        self._real, lines = _draw(form[0], min(rows, ROWS), cols)
        codes = np.resize(lines, (rows, lines.shape[1]))
        for weight in weights:
            lib.ggml_backend_tensor_set(weight, codes.ctypes.data, 0, codes.nbytes)

    def run(self) -> None:
        """Computes every product."""
        if ggml.library().ggml_backend_graph_compute(self._backend, self._graph) != 0:
            raise DeviceError("llama.cpp could not multiply")

    def check(self, step: float, name: str) -> None:
        """Raises DeviceError unless every product is about that of floats.

        With codes of `step` in a range of 6 deviations, a weight is off by 6 / sqrt(12) steps or
        less, as a range of few numbers is narrower. Inputs of 8 bits add less than 0.01.
        """
        self.run()
        exact, bound = self._x @ self._real.T, 2 * step + 0.01
        for result in self._results:
            y = self._y
            ggml.library().ggml_backend_tensor_get(result, y.ctypes.data, 0, y.nbytes)
            off = np.linalg.norm(y[:, : exact.shape[1]] - exact) / np.linalg.norm(exact)
            if not off < bound:
                raise DeviceError(f"{name} is {off:.3f} off a product of floats, over {bound:.3f}")


@cache
def tiles_crash() -> bool:
    """Returns whether this build dies where it multiplies by AMX, as g++ 12 compiles it."""
    if "amx_int8" not in ggml.compiled_for():
        return False
    command = [sys.executable, "-m", __name__]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0


def _multiply_tiles() -> None:
    """What `tiles_crash` tries: two tokens, because one takes no tiles."""
    x = np.ones((2, 256), np.float32)
    for kind in ggml.kinds():
        if ggml.library().ggml_backend_buft_name(kind) == TILES:
            Products(x, 64, (FORMATS[8][0][1], kind), count=1, threads=1).run()


def _usable_kinds() -> Iterator[int]:
    for kind in ggml.kinds():
        if ggml.library().ggml_backend_buft_name(kind) != TILES or not tiles_crash():
            yield kind


def _placement(number: int, rows: int, x: Array) -> int:
    """Returns the first kind of memory from which llama.cpp can multiply such a weight."""
    lib, memory = ggml.library(), ggml.Memory()
    for kind in _usable_kinds():
        held, context = memory.context(1), memory.context(2)
        weight = lib.ggml_new_tensor_2d(held, number, x.shape[1], rows)
        memory.fill(held, kind)
        given = lib.ggml_new_tensor_2d(context, ggml.F32, x.shape[1], len(x))
        product = lib.ggml_mul_mat(context, weight, given)
        if lib.ggml_backend_dev_supports_op(ggml.device(), product):
            return kind
    raise DeviceError(f"llama.cpp cannot multiply by {rows} x {x.shape[1]} weights")


def _draw(number: int, rows: int, cols: int) -> tuple[Array, Array]:
    """Returns (rows, cols) random weights of deviation 1, and the (rows, bytes) of a format."""
    lib = ggml.library()
    real = np.random.default_rng(1).standard_normal((rows, cols), np.float32)
    lines = np.empty((rows, lib.ggml_row_size(number, cols)), np.uint8)
    lib.ggml_quantize_chunk(number, real.ctypes.data, lines.ctypes.data, 0, rows, cols, None)
    return real, lines


if __name__ == "__main__":
    _multiply_tiles()
