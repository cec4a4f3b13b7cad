// pack: unsigned codes of 1 to 8 bits, one per byte <-> rows of bits; and the kept codes of a mask.
//
// To add a kernel, write pack_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests all
// read kernels.inc; none of them changes. KERNELS.md describes the packed layout.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"

namespace lamella {

// Bytes of one packed row. Code i of the row occupies its bits [i * bits, (i + 1) * bits), least
// significant first; the bits after the last code are 0.
constexpr std::size_t packed_row_bytes(std::size_t cols, int bits) {
  // 8 codes fill exactly `bits` bytes, so this form cannot overflow where cols * bits would.
  const auto width = static_cast<std::size_t>(bits);
  return cols / 8 * width + (cols % 8 * width + 7) / 8;
}

// Groups of a row; the last may be short.
constexpr std::size_t groups_of(std::size_t cols, std::size_t group) {
  return cols / group + (cols % group != 0);
}

// The shape of one call. Rows are independent: a call on a slice of them writes only its own bytes.
struct PackShape {
  std::size_t rows;
  std::size_t cols;
  int bits;  // packs(bits), see base/formats.h
};

// The shape of a masked matrix: `kept` is the number of ones, see kept_codes().
struct MaskShape {
  std::size_t rows;
  std::size_t cols;
  std::size_t kept;
};

// What a masked code becomes. Shape: codes (rows, groups_of(cols, group)).
struct ZeroCodes {
  const std::uint8_t* codes;
  std::size_t group;  // a multiple of 8, or at least cols
};

// Shapes: codes (rows, cols) bytes below 2^bits, packed (rows, packed_row_bytes(cols, bits)).
using PackFn = void (*)(PackShape shape, const std::uint8_t* codes, std::uint8_t* packed);
using UnpackFn = void (*)(PackShape shape, const std::uint8_t* packed, std::uint8_t* codes);

// Copies the codes whose bit of `mask` is 1, in row-major order.
// Shapes: codes (rows, cols), mask (rows, cols) packed with 1 bit, kept (shape.kept).
using CompactFn = void (*)(MaskShape shape, const std::uint8_t* codes, const std::uint8_t* mask,
                           std::uint8_t* kept);

// The inverse: a code whose bit is 0 becomes the zero code of its group.
using ExpandFn = void (*)(MaskShape shape, const std::uint8_t* kept, const std::uint8_t* mask,
                          ZeroCodes zero, std::uint8_t* codes);

struct PackCalls {
  PackFn pack;
  UnpackFn unpack;
  CompactFn compact;
  ExpandFn expand;
};

struct PackKernel : Kernel {
  const PackCalls* calls;
};

Span<PackKernel> pack_kernels();
const PackKernel& pack_select(IsaSet host);

// The number of ones of a (rows, cols) mask packed with 1 bit.
std::size_t kept_codes(std::size_t rows, std::size_t cols, const std::uint8_t* mask);

#define LAMELLA_KERNEL(name, needs) extern const PackCalls name;
#include "kernels/pack/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
