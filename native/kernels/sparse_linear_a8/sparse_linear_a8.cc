#include "kernels/sparse_linear_a8/sparse_linear_a8.h"

#include <algorithm>

namespace lamella {
namespace {

constexpr SparseLinearKernel kKernels[] = {
#define LAMELLA_KERNEL(name, bits, needs) {{#name, needs}, bits, &name},
#include "kernels/sparse_linear_a8/kernels.inc"
#undef LAMELLA_KERNEL
};

// The place of a row and column of a tile among its kPairs * 64.
std::size_t place_of(std::size_t row, std::size_t col) {
  return col / 4 * kVectorBytes + 4 * row + col % 4;
}

std::uint8_t code_at(const std::uint8_t* tile, int bits, std::size_t place) {
  const std::size_t row = place % kVectorBytes / 4;
  const std::size_t col = place / kVectorBytes * 4 + place % 4;
  unsigned code = 0;
  visit_code(bits, row, col, [&](std::size_t byte, int shift, int from, int width) {
    code |= (tile[byte] >> shift & ((1u << width) - 1)) << from;
  });
  return static_cast<std::uint8_t>(code);
}

}  // namespace

Span<SparseLinearKernel> sparse_linear_a8_kernels() { return kKernels; }

const SparseLinearKernel& sparse_linear_a8_select(int bits, IsaSet host) {
  return select_kernel(kKernels, &SparseLinearKernel::bits, bits, host);
}

void pack_sparse_masks(std::size_t rows, std::size_t cols, const std::uint8_t* keep,
                       std::uint64_t* masks) {
  const std::size_t blocks = blocks_of(cols);
  std::fill_n(masks, strips_of(rows) * blocks * kPairs, std::uint64_t{0});
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      const std::size_t tile = row / kStripRows * blocks + col / kBlockCols;
      const std::size_t place = place_of(row % kStripRows, col % kBlockCols);
      const std::uint64_t bit = keep[row * cols + col];
      masks[tile * kPairs + place / 64] |= bit << place % 64;
    }
  }
}

void pack_sparse_codes(std::size_t count, int bits, const std::uint8_t* tiles,
                       const std::uint64_t* masks, std::uint8_t* kept) {
  for (std::size_t pair = 0; pair < count * kPairs; ++pair) {
    const std::uint8_t* tile = tiles + pair / kPairs * tile_bytes(bits);
    std::fill_n(kept, kept_bytes(bits, masks[pair]), std::uint8_t{0});
    std::size_t number = 0;
    for (std::size_t place = 0; place < 64; ++place) {
      if ((masks[pair] >> place & 1) == 0) continue;
      const std::uint8_t code = code_at(tile, bits, pair % kPairs * 64 + place);
      const std::size_t bit = number++ * static_cast<std::size_t>(bits);
      kept[bit / 8] = static_cast<std::uint8_t>(kept[bit / 8] | code << bit % 8);
    }
    kept += kept_bytes(bits, masks[pair]);
  }
}

}  // namespace lamella
