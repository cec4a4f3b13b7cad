// sparse_linear_w4a8 and sparse_linear_w8a8: linear_a8 for weights of which only some codes are
// stored, each of the others being the zero point of its group.
//
// The sums are those of linear_a8 for the weight with all codes written out, in the same order, and
// give the same bits. Any mask is allowed; one that keeps N of M neighbours is one of them.
//
// To add a kernel, write sparse_linear_a8_<isa>.cc and one row of kernels.inc for each width.
// Dispatch, binding and tests all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"
#include "kernels/linear_a8/linear_a8.h"

namespace lamella {

// A tile has 4 pairs of steps, and a pair 64 places: place i is byte i % 32 of step
// 2 * pair + i / 32, in the order of linear_a8/layout.h.
inline constexpr std::size_t kPairs = 4;
// Kernels read up to so many bytes after the kept codes, which must be there.
inline constexpr std::size_t kSparsePadding = 64;

// Bytes of a pair's kept codes; each pair starts on a byte.
inline std::size_t kept_bytes(int bits, std::uint64_t mask) {
  const auto kept = static_cast<std::size_t>(__builtin_popcountll(mask));
  return bits == 8 ? kept : (kept + 1) / 2;
}

// Runs like LinearKernel on a weight with these parts:
//   masks (strips, blocks, 4): bit i is 1 where place i of the pair is kept;
//   codes: the kept codes tile by tile, pair by pair and place by place, in a byte each or, of
//     4 bits, two in a byte, the first in the low bits; then kSparsePadding bytes;
//   starts (strips, blocks): the byte of `codes` where a tile starts.
struct SparseLinearKernel : Kernel {
  int bits;  // the width of the weights that it takes
  LinearFn run;
};

Span<SparseLinearKernel> sparse_linear_a8_kernels();
const SparseLinearKernel& sparse_linear_a8_select(int bits, IsaSet host);  // bits is 4 or 8

#define LAMELLA_KERNEL(name, bits, needs) void name(const LinearCall& call, Slice strips);
#include "kernels/sparse_linear_a8/kernels.inc"
#undef LAMELLA_KERNEL

// Writes the masks of a (rows, cols) matrix of bytes, 1 where a weight is kept and else 0. What
// belongs to no row or column is not kept.
void pack_sparse_masks(std::size_t rows, std::size_t cols, const std::uint8_t* keep,
                       std::uint64_t* masks);

// Calls start(tile, byte) for each of some tiles; returns the bytes of all kept codes.
template <typename Start>
std::size_t for_each_start(std::size_t tiles, int bits, const std::uint64_t* masks,
                           const Start& start) {
  std::size_t byte = 0;
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    start(tile, byte);
    for (std::size_t i = 0; i < kPairs; ++i) byte += kept_bytes(bits, masks[tile * kPairs + i]);
  }
  return byte;
}

// Copies the kept codes out of tiles of linear_a8. Shape: tiles (count, tile_bytes(bits)).
void pack_sparse_codes(std::size_t count, int bits, const std::uint8_t* tiles,
                       const std::uint64_t* masks, std::uint8_t* kept);

}  // namespace lamella
