// linear_w{2,3,4,5,6,8}a8: y[t][r] = sum over c of w[r][c] * x[t][c], plus bias[r], for weights of
// some bits and activations of 8.
//
// With w = scale * (code - zero) and the input of kernels/linear_input, and for each block of 32
// columns from the first to the last:
//   dot = sum of code * input code, sum = sum of input codes, both exact;
//   y = fma(weight scale * input scale, float(dot - zero * sum), y), starting at 0;
// and then y + bias. Where 16 columns have a scale, a block gives two such steps, the first for its
// first 16 columns. Every kernel gives these bits; a NaN is 0x7fc00000.
//
// To add a kernel, write linear_a8_<isa>.cc and one row of kernels.inc for each width. Dispatch,
// binding and tests all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/linear_a8/layout.h"
#include "kernels/linear_input/linear_input.h"

namespace lamella {

// Strips of 8 rows, the unit in which a call may be split between threads.
constexpr std::size_t strips_of(std::size_t rows) {
  return rows / kStripRows + (rows % kStripRows != 0);
}

// The grid_shift of groups of 16 columns: block b has the grids 2 * b and 2 * b + 1.
inline constexpr unsigned kHalved = 64;

// The grid_shift of groups of 16, 32, 64 and 128 columns; of whole rows for 0.
constexpr unsigned grid_shift_of(std::size_t group) {
  return group == 0 ? 63 : group == 16 ? kHalved : group == 32 ? 0 : group == 64 ? 1 : 2;
}

// Scales of a packed row: its groups, of 16 columns always two for a block.
constexpr std::size_t grids_of(std::size_t cols, std::size_t group) {
  if (group == 0) return 1;
  return group == 16 ? 2 * blocks_of(cols) : cols / group + (cols % group != 0);
}

// A packed weight. Shapes, with blocks = blocks_of(cols): codes (strips, blocks, tile_bytes(bits)),
// the others (strips, grids, 8); what belongs to no row or column is 0. Either half_scale (float16
// bits) or row_scale is null; with row_scale there is one grid. Where zero is null, the zero points
// are 2^(bits-1).
struct LinearWeight {
  std::size_t rows;
  std::size_t cols;
  int bits;
  std::size_t grids;    // scales of a row
  unsigned grid_shift;  // block b has the grid b >> grid_shift, unless it is kHalved
  const std::uint8_t* codes;
  const std::uint16_t* half_scale;
  const float* row_scale;
  const std::uint8_t* zero;
  // Of a weight of kernels/sparse_linear_a8, whose codes are not tiles.
  const std::uint64_t* masks = nullptr;
  const std::uint32_t* starts = nullptr;

  const std::uint8_t* tile(std::size_t strip, std::size_t block) const {
    return codes + (strip * blocks_of(cols) + block) * tile_bytes(bits);
  }

  // The same of a sparse weight.
  const std::uint8_t* kept_codes(std::size_t strip, std::size_t block) const {
    return codes + starts[strip * blocks_of(cols) + block];
  }

  bool halved() const { return grid_shift == kHalved; }

  // The first of the 8 grids of a tile in half_scale, row_scale and zero; those of the second half
  // follow.
  std::size_t grid(std::size_t strip, std::size_t block) const {
    return (strip * grids + (halved() ? 2 * block : block >> grid_shift)) * kStripRows;
  }

  // The first of the 8 grids of a column.
  std::size_t grid_of_col(std::size_t strip, std::size_t col) const {
    const bool second = halved() && col % kBlockCols >= kBlockCols / 2;
    return grid(strip, col / kBlockCols) + (second ? kStripRows : 0);
  }
};

// Shapes: bias (rows) or null, y (input.tokens, rows). Where the weight is halved,
// input.half_sum is not null.
struct LinearCall {
  const LinearWeight& weight;
  const LinearInput& input;
  const float* bias;
  float* y;
};

// Writes the outputs of a slice of strips for every token.
using LinearFn = void (*)(const LinearCall& call, Slice strips);

struct LinearKernel : Kernel {
  int bits;  // the width of the weights that it takes
  LinearFn run;
};

Span<LinearKernel> linear_a8_kernels();
const LinearKernel& linear_a8_select(int bits, IsaSet host);  // bits is one of kWeightBits

#define LAMELLA_KERNEL(name, bits, needs) void name(const LinearCall& call, Slice strips);
#include "kernels/linear_a8/kernels.inc"
#undef LAMELLA_KERNEL

// Writes the tiles of a (rows, cols) matrix of codes below 2^bits; what belongs to no row or
// column is 0. Shape: tiles (strips, blocks, tile_bytes(bits)).
void pack_tiles(std::size_t rows, std::size_t cols, int bits, const std::uint8_t* codes,
                std::uint8_t* tiles);

// Writes a (rows, groups) matrix as (strips, groups + padding, 8); what belongs to no row or group
// is 0.
template <typename Item>
void pack_grids(std::size_t rows, std::size_t groups, const Item* items, Item* packed,
                std::size_t padding = 0) {
  const std::size_t grids = groups + padding;
  for (std::size_t row = 0; row < strips_of(rows) * kStripRows; ++row) {
    const std::size_t first = row / kStripRows * grids * kStripRows + row % kStripRows;
    for (std::size_t grid = 0; grid < grids; ++grid) {
      const bool filled = row < rows && grid < groups;
      packed[first + grid * kStripRows] = filled ? items[row * groups + grid] : Item(0);
    }
  }
}

}  // namespace lamella
