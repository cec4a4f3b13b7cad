"""Types of the compiled module; `native/KERNELS.md` describes the packed layout."""

from typing import TypedDict, final

import numpy as np
import numpy.typing as npt

_Bytes = npt.NDArray[np.uint8]

class _FormatTable(TypedDict):
    """The rows of `native/base/formats.inc`."""

    weight_bits: tuple[int, ...]
    groups: tuple[int, ...]

@final
class PackKernel:
    """One row of `native/kernels/pack/kernels.inc`.

    Every method raises ValueError for a wrong dtype, shape, width or code, or where the kernel
    does not run on this processor. Arrays are C-contiguous uint8. `bits` is 1, the width of a
    mask, or a width of `formats()`. With row_bytes(cols, bits) = ceil(cols * bits / 8):
    """

    @property
    def name(self) -> str: ...
    @property
    def runs_here(self) -> bool: ...
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

def formats() -> _FormatTable: ...
def isa() -> list[str]:
    """Returns the names of what kernels may use: the processor's, or what LAMELLA_ISA says."""

def isa_of_this_processor() -> list[str]:
    """Returns the names of what the processor offers, whatever LAMELLA_ISA says."""

def pack_kernels() -> list[PackKernel]:
    """Returns every kernel of this build, best first; the last runs everywhere."""

def pack_kernel() -> PackKernel:
    """Returns the best kernel that `isa()` allows."""
