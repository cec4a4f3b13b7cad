"""The loops that `make kernel-loops` prints: which function they are in, and what they multiply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

X86, ARM = "x86_64", "aarch64"
# Instructions that multiply, and the products of one for each byte of its registers.
DOTS, NARROW, WIDE = ("vpdpbusd", 1.0), ("vpmaddubsw", 1.0), ("vpmaddwd", 0.5)
FLOATS = (r"vfmadd\d+ps", 0.25)
SDOT, SMMLA, SMLAL, FMLA = (
    ("sdot", 1.0),
    ("smmla", 2.0),
    (r"sm(la|ul)l2? v\d+\.8h", 0.5),
    ("fmla", 0.25),
)
# Turns 16 bytes of a cache into floats.
DECODES = ("vcvtdq2ps", 0.0)
INTEGERS = {"avx512": DOTS, "avxvnni": DOTS, "avx2": NARROW}
ARM_INTEGERS = {"i8mm": SMMLA, "dotprod": SDOT, "neon": SMLAL}
# Where the product of two bytes may not saturate: for one token it takes two instructions, one for
# each half of a code of 8 bits; for several, both are numbers of 16 bits.
EXACT = ("avx2", 8)


@dataclass(frozen=True, slots=True)
class Row:
    """A loop: in the functions of an object that match, the one that multiplies most.

    `peak` is the title of the row with the most that its instruction set does; `share` is what one
    instruction makes of its products.
    """

    title: str
    source: str
    function: str
    multiply: tuple[str, float]
    peak: str = ""
    share: float = 1.0

    @property
    def isa(self) -> str:
        """Returns the instruction set of the source."""
        return self.source.rpartition("_")[2]

    @property
    def triple(self) -> str:
        """Returns the processors that have it."""
        return ARM if self.isa in ARM_INTEGERS else X86

    @property
    def compared(self) -> str:
        """Returns the name of the row with its peak."""
        return f"{self.peak or self.title}, {self.isa.removesuffix('vbmi2')}"


def rows() -> Iterator[Row]:
    """Yields the loops in the order of the table; a peak stands before what is compared with it."""
    for isa, multiply in INTEGERS.items():
        yield from _peaks(isa, multiply)
        yield from _linear(isa, multiply)
        yield from _images(isa, multiply)
    sparse = "sparse_linear_a8/sparse_linear_a8_avx512vbmi2"
    yield Row("sparse_linear_w4a8, 1 token", sparse, "run_one<4, 1", DOTS, "peak_w4a8")
    for isa in ("avx512", "avx2"):
        yield from _floats(isa, FLOATS)
        yield from _attention(isa)
    for isa, multiply in ARM_INTEGERS.items():
        yield from _peaks(isa, multiply)
        yield from _arm(isa, multiply)
    yield from _floats("neon", FMLA)


def _peaks(isa: str, multiply: tuple[str, float]) -> Iterator[Row]:
    for bits in (4, 8):
        if bits == 4 or isa in ("avx2", "neon"):
            way = rf"peak_w{bits}a8_{isa}\(|Dots"
            yield Row(f"peak_w{bits}a8", f"peak/peak_{isa}", way, multiply)


def _linear(isa: str, multiply: tuple[str, float]) -> Iterator[Row]:
    tokens = 8 if isa == "avx512" else 4
    source = f"linear_a8/linear_a8_{isa}"
    for bits in (2, 4, 8):
        exact = (isa, bits) == EXACT
        one, peak = f"run_one<{bits}, 1", "peak_w8a8" if exact else "peak_w4a8"
        yield Row(f"linear_w{bits}a8, 1 token", source, one, multiply, peak, 0.5 if exact else 1.0)
        # Where there is one caller, the loop is in it.
        many = rf"run_tokens<{bits}, 1ul, 0ul.*, {tokens - 1}ul>\(|run_strips<{bits}, 1"
        if exact:
            yield Row("linear_w8a8, 6 tokens", source, "add_wide<1ul, 2ul.*, 5ul>", WIDE, peak)
        else:
            yield Row(f"linear_w{bits}a8, {tokens} tokens", source, many, multiply, peak)


def _images(isa: str, multiply: tuple[str, float]) -> Iterator[Row]:
    source, panels = f"conv2d_a8/conv2d_a8_{isa}", "add_positions<4, "
    if isa != EXACT[0]:
        # Unpacked weights are bytes: one loop for all widths.
        yield Row("conv2d_w8a8", source, panels, multiply, "peak_w4a8")
        return
    yield Row("conv2d_w4a8", source, panels, multiply, "peak_w4a8")
    yield Row("conv2d_w8a8", source, "run_wide", WIDE, "peak_w8a8")


def _floats(isa: str, multiply: tuple[str, float]) -> Iterator[Row]:
    yield Row("peak_f32", f"peak/peak_{isa}", "peak_f32_|Floats", multiply)
    linear = f"linear_float/linear_float_{isa}"
    one = "Plain<float>, 1|linear_f32_|run_few<.*Plain<float>"
    yield Row("linear_f32, 1 token", linear, one, multiply, "peak_f32")
    yield Row("linear_f32, 64 tokens", linear, "Tile<", multiply, "peak_f32")
    conv = f"conv2d_f32/conv2d_f32_{isa}"
    yield Row("conv2d_f32", conv, "Tile<", multiply, "peak_f32")


def _attention(isa: str) -> Iterator[Row]:
    source = f"attention/attention_{isa}"
    yield Row("attention_f32, scores", source, "AttentionUnit", FLOATS, "peak_f32")
    yield Row("attention_f32, sums", source, "add_range<4", FLOATS, "peak_f32")
    yield Row("attention_int8, decoding", source, "load_block.*Int8", DECODES, "peak_f32")


def _arm(isa: str, multiply: tuple[str, float]) -> Iterator[Row]:
    for bits in (4, 8):
        source, many = f"linear_a8/linear_a8_{isa}", f"run_tokens<{bits}, 1ul, 0ul, 1ul, 2ul, 3ul>"
        peak = f"peak_w{bits if isa == 'neon' else 4}a8"
        yield Row(f"linear_w{bits}a8, 4 tokens", source, many, multiply, peak)
