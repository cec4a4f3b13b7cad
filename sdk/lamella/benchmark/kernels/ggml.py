"""The C functions of ggml, which computes for llama.cpp, from the libraries of llama_cpp.

The package is found and not imported: only its shared libraries are needed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lamella import _native
from lamella.errors import DeviceError

F32 = 0
# What a build may use beyond AVX2, and the set with which our kernels may use it.
FEATURES = {
    "avx_vnni": "avxvnni",
    "avx512": "avx512",
    "avx512_vnni": "avx512",
    "avx512_vbmi": "avx512vbmi2",
    "avx512_bf16": "",
    "amx_int8": "",
}
# How often a thread looks for others before it sleeps, 0.1 ms: peers spin inside a run, and with
# OMP_WAIT_POLICY alone its threads would not even wait for each other between two products.
SPINS = "2000"


class _Context(ctypes.Structure):
    """`struct ggml_init_params`: room for the descriptions of arrays, none for their numbers."""

    _fields_ = (("size", ctypes.c_size_t), ("memory", ctypes.c_void_p), ("bare", ctypes.c_bool))


_NUMBER, _LONG, _SIZE = ctypes.c_int, ctypes.c_int64, ctypes.c_size_t
_POINTER, _TEXT, _TRUTH = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool
# What a function returns, and what it takes.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "ggml_init": (_POINTER, _Context),
    "ggml_free": (None, _POINTER),
    "ggml_tensor_overhead": (_SIZE,),
    "ggml_graph_overhead_custom": (_SIZE, _SIZE, _TRUTH),
    "ggml_new_tensor_2d": (_POINTER, _POINTER, _NUMBER, _LONG, _LONG),
    "ggml_mul_mat": (_POINTER, _POINTER, _POINTER, _POINTER),
    "ggml_new_graph_custom": (_POINTER, _POINTER, _SIZE, _TRUTH),
    "ggml_build_forward_expand": (None, _POINTER, _POINTER),
    "ggml_row_size": (_SIZE, _NUMBER, _LONG),
    "ggml_quantize_chunk": (_SIZE, _NUMBER, _POINTER, _POINTER, _LONG, _LONG, _LONG, _POINTER),
    "ggml_backend_cpu_init": (_POINTER,),
    "ggml_backend_cpu_set_n_threads": (None, _POINTER, _NUMBER),
    "ggml_backend_free": (None, _POINTER),
    "ggml_backend_cpu_reg": (_POINTER,),
    "ggml_backend_reg_dev_get": (_POINTER, _POINTER, _SIZE),
    "ggml_backend_reg_get_proc_address": (_POINTER, _POINTER, _TEXT),
    "ggml_backend_dev_buffer_type": (_POINTER, _POINTER),
    "ggml_backend_dev_supports_op": (_TRUTH, _POINTER, _POINTER),
    "ggml_backend_buft_name": (_TEXT, _POINTER),
    "ggml_backend_alloc_ctx_tensors_from_buft": (_POINTER, _POINTER, _POINTER),
    "ggml_backend_buffer_free": (None, _POINTER),
    "ggml_backend_buffer_get_base": (_POINTER, _POINTER),
    "ggml_backend_buffer_get_size": (_SIZE, _POINTER),
    "ggml_backend_tensor_set": (None, _POINTER, _POINTER, _SIZE, _SIZE),
    "ggml_backend_tensor_get": (None, _POINTER, _POINTER, _SIZE, _SIZE),
    "ggml_backend_graph_compute": (_NUMBER, _POINTER, _POINTER),
    "ggml_log_set": (None, _POINTER, _POINTER),
}
_SILENT = ctypes.CFUNCTYPE(None, _NUMBER, _TEXT, _POINTER)(lambda *_: None)


def missing() -> str:
    """Returns why llama.cpp cannot take part, or nothing."""
    place = path()
    if place is None:
        return "llama_cpp is not installed; pip install llama-cpp-python compiles it"
    try:
        hidden = [name for name in compiled_for() if FEATURES[name] not in _native.isa()]
    except (OSError, AttributeError) as error:
        return f"{place} is another version than lamella knows: {error}"
    if _native.hidden_beyond() and hidden:
        return (
            f"{place} is compiled for {', '.join(hidden)} and uses it unasked; install one without:"
            " CMAKE_ARGS=-DGGML_NATIVE=OFF pip install --no-binary llama-cpp-python "
            "llama-cpp-python"
        )
    return ""


def compiled_for() -> list[str]:
    """Returns what the build uses beyond AVX2, whatever CPUID says."""
    return [name for name in FEATURES if getattr(library(), f"ggml_cpu_has_{name}")()]


def path() -> Path | None:
    """Returns the library with the kernels, which brings those that it needs."""
    package = find_spec("llama_cpp")
    folders = package.submodule_search_locations if package else None
    found = [place for folder in folders or () for place in Path(folder).glob("lib/libggml-cpu.*")]
    return min(found, default=None)


@cache
def library() -> ctypes.CDLL:
    """Returns the functions above."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    loaded = ctypes.CDLL(str(path()))
    for name, (result, *given) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, given
    loaded.ggml_log_set(_SILENT, None)
    return loaded


class Memory:
    """What ggml has handed out; it is given back when nobody holds this any more."""

    def __init__(self) -> None:
        """Has nothing yet."""
        self._stack = ExitStack()
        weakref.finalize(self, self._stack.close)

    def own(self, pointer: int | None, free: Callable[[int], object]) -> int:
        """Returns the pointer, which `free` takes in the end."""
        if not pointer:
            raise DeviceError("llama.cpp found no memory; close other programs")
        self._stack.callback(free, pointer)
        return pointer

    def context(self, arrays: int) -> int:
        """Returns room for the descriptions of so many arrays and of a graph of as many."""
        size = arrays * library().ggml_tensor_overhead()
        size += library().ggml_graph_overhead_custom(arrays, False)
        return self.own(library().ggml_init(_Context(size, None, True)), library().ggml_free)

    def fill(self, context: int, kind: int) -> None:
        """Gives memory of a kind to all arrays of a context."""
        place = library().ggml_backend_alloc_ctx_tensors_from_buft(context, kind)
        self.own(place, library().ggml_backend_buffer_free)
        start = library().ggml_backend_buffer_get_base(place)
        _join_pages(start, start + library().ggml_backend_buffer_get_size(place))


def _join_pages(start: int, end: int) -> None:
    """Asks for large pages, which numpy has for all others: some formats gain much by them."""
    start, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
    if hasattr(mmap, "MADV_HUGEPAGE") and start < end:
        advise = ctypes.CDLL(None).madvise
        advise(_POINTER(start), _SIZE(end - start), mmap.MADV_HUGEPAGE)


def device() -> int:
    """Returns the processor."""
    found: int = library().ggml_backend_reg_dev_get(library().ggml_backend_cpu_reg(), 0)
    return found


def kinds() -> Iterator[int]:
    """Yields the kinds of memory from which the processor multiplies, the plain one last."""
    name = b"ggml_backend_dev_get_extra_bufts"
    registry = library().ggml_backend_cpu_reg()
    address = library().ggml_backend_reg_get_proc_address(registry, name)
    if address:
        others = ctypes.CFUNCTYPE(ctypes.POINTER(_POINTER), _POINTER)(address)(device())
        i = 0
        while others[i]:
            yield others[i]
            i += 1
    yield plain_kind()


def plain_kind() -> int:
    """Returns the kind of memory that holds arrays as numpy does."""
    found: int = library().ggml_backend_dev_buffer_type(device())
    return found
