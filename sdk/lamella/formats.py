"""Formats: how the numbers of one layer are stored, as one value with one canonical id.

An id reads left to right, `w<bits>[g<group>][z][a8|a8d][@<sparsity>]`:

    w4g32      4-bit weights, one scale per 32 inputs, symmetric (the zero point is 2^(bits-1))
    w4g32z     the same with a stored zero point per group (asymmetric)
    w8         8-bit weights, one scale per output channel
    w8a8       8-bit weights and activations; one activation grid per tensor, fixed by calibration
    w8a8d      the same with one activation grid per token, found at run time
    w4g32@2:4  at most 2 of every 4 neighbouring weights are kept
    w8@50      half of the weights are zero, anywhere in the layer
    f16, f32   floating point; `f16@2:4` is a pruned half-precision layer

Scales of grouped formats are stored as float16, those of per-channel formats as float32.
`native/base/formats.inc` is the same table in C++; a test compares the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from lamella.errors import PlanError

Activation = Literal["float", "static", "dynamic"]

WEIGHT_BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (16, 32, 64, 128)

# Names that users bring from other tools. Each maps to the nearest format lamella has; where the
# foreign name is a whole-model mix (Q4_K_M), it maps to the format of most of its layers.
ALIASES = {
    "FP32": "f32",
    "FP16": "f16",
    "W8A16": "w8",
    "W8A8": "w8a8",
    "INT8": "w8a8",
    "INT8_DYNAMIC": "w8a8d",
    "W4A16": "w4g128",
    "W4A16_ASYM": "w4g128z",
    "8DA4W": "w4g32a8d",
    "Q8_0": "w8g32",
    "Q6_K": "w6g16",
    "Q5_0": "w5g32",
    "Q5_1": "w5g32z",
    "Q4_0": "w4g32",
    "Q4_1": "w4g32z",
    "Q4_K_M": "w4g32z",
    "Q3_K_M": "w3g16",
    "Q2_K": "w2g16z",
    "Q4F16_1": "w4g32",
    "Q4F32_1": "w4g32",
    "Q3F16_1": "w3g32",
}

_GRAMMAR = re.compile(
    r"(?:(?P<float>f16|f32)|w(?P<bits>\d{1,4})(?:g(?P<group>\d{1,9}))?(?P<zero>z)?(?P<act>a8d?)?)"
    r"(?:@(?:(?P<keep>\d{1,4}):(?P<of>\d{1,4})|(?P<percent>\d{1,3}(?:\.\d{1,4})?)))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Sparsity:
    """The rule of a mask: `keep` of every `of` inputs (N:M), or `fraction` zero anywhere.

    An id holds a percentage of at most four decimals: other fractions have no id that parses.
    """

    fraction: float
    keep: int = 0
    of: int = 0

    @property
    def id(self) -> str:
        """Returns `2:4` or the percentage."""
        return f"{self.keep}:{self.of}" if self.of else f"{100 * self.fraction:g}"


@dataclass(frozen=True, slots=True)
class Format:
    """How one layer is stored.

    `bits` is the width of a weight code (16 and 32 mean floating point), `group` the number of
    neighbouring inputs that share a scale (0: the whole row), `symmetric` whether the zero point
    is fixed at 2^(bits-1), `activation` how the input of the layer is represented.
    """

    bits: int
    group: int = 0
    symmetric: bool = True
    activation: Activation = "float"
    sparsity: Sparsity | None = None

    @property
    def id(self) -> str:
        """Returns the canonical id; `parse(format.id) == format`."""
        if self.is_float:
            text = f"f{self.bits}"
        else:
            text = f"w{self.bits}" + (f"g{self.group}" if self.group else "")
            text += "" if self.symmetric else "z"
            text += {"float": "", "static": "a8", "dynamic": "a8d"}[self.activation]
        return f"{text}@{self.sparsity.id}" if self.sparsity else text

    @property
    def is_float(self) -> bool:
        """Whether weights are kept as floating point numbers."""
        return self.bits >= 16

    @property
    def levels(self) -> int:
        """Returns the number of codes, 2^bits."""
        return 1 << self.bits

    @property
    def scale_bits(self) -> int:
        """Returns the width of a stored scale: 16 for groups, 32 for whole rows."""
        return 16 if self.group else 32

    @property
    def dense(self) -> Format:
        """Returns the same format without its mask."""
        return replace(self, sparsity=None)

    def groups(self, cols: int) -> int:
        """Returns how many scales a row of `cols` weights has; the last group may be short."""
        return -(-cols // self.group) if self.group else 1

    def nbytes(self, rows: int, cols: int, kept: int | None = None) -> int:
        """Returns the packed size in bytes of a (rows, cols) weight, every byte counted.

        A masked layer is stored as a bitmap and its kept values, or dense where that is smaller.
        `kept` is the number of kept weights, by default what the sparsity promises.
        """
        count = rows * cols
        grids = 0
        if not self.is_float:
            zero_bits = 0 if self.symmetric else self.bits
            per_row = self.groups(cols)
            grids = rows * (per_row * self.scale_bits // 8 + -(-per_row * zero_bits // 8))
        dense = -(-count * self.bits // 8) if self.is_float else rows * -(-cols * self.bits // 8)
        if self.sparsity is None:
            return dense + grids
        if kept is None:
            kept = count - round(count * self.sparsity.fraction)
        bitmap = rows * -(-cols // 8)
        return min(dense, bitmap + -(-kept * self.bits // 8)) + grids


F32 = Format(32)
F16 = Format(16)


def parse(text: str) -> Format:
    """Reads a canonical id or an alias, upper or lower case.

    Raises:
        PlanError: the text is neither, or names a width, group or mask that does not exist.
    """
    found = _GRAMMAR.fullmatch(ALIASES.get(text.strip().upper(), text.strip().lower()))
    if found is None:
        raise PlanError(
            f"unknown format {text!r}; write for example w4g32, w4g32z, w8, w8a8, w8a8d, f16 or "
            f"w4g32@2:4, or an alias: {', '.join(sorted(ALIASES))}"
        )
    sparsity = _parse_sparsity(text, found)
    if found["float"]:
        return Format(int(found["float"][1:]), sparsity=sparsity)
    bits, group = int(found["bits"]), int(found["group"] or 0)
    if bits not in WEIGHT_BITS:
        raise PlanError(f"format {text!r}: weights of {bits} bits; use one of {WEIGHT_BITS}")
    if found["group"] and group not in GROUPS:
        raise PlanError(f"format {text!r}: groups of {group}; use one of {GROUPS}, or none")
    names: dict[str | None, Activation] = {None: "float", "a8": "static", "a8d": "dynamic"}
    return Format(bits, group, found["zero"] is None, names[found["act"]], sparsity)


def _parse_sparsity(text: str, found: re.Match[str]) -> Sparsity | None:
    if found["of"]:
        keep, of = int(found["keep"]), int(found["of"])
        if not 0 < keep < of <= 32:
            raise PlanError(f"format {text!r}: {keep}:{of} must keep some of at most 32 weights")
        return Sparsity(1 - keep / of, keep, of)
    if found["percent"]:
        percent = float(found["percent"])
        if not 0 < percent < 100:
            raise PlanError(f"format {text!r}: a sparsity of {percent:g} % must lie in (0, 100)")
        return Sparsity(percent / 100)
    return None
