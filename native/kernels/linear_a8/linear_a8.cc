#include "kernels/linear_a8/linear_a8.h"

#include <algorithm>

#include "base/check.h"

namespace lamella {
namespace {

constexpr LinearKernel kKernels[] = {
#define LAMELLA_KERNEL(name, bits, needs) {{#name, needs}, bits, &name},
#include "kernels/linear_a8/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<LinearKernel> linear_a8_kernels() { return kKernels; }

const LinearKernel& linear_a8_select(int bits, IsaSet host) {
  return select_kernel(kKernels, &LinearKernel::bits, bits, host);
}

void pack_tiles(std::size_t rows, std::size_t cols, int bits, const std::uint8_t* codes,
                std::uint8_t* tiles) {
  const std::size_t blocks = blocks_of(cols);
  std::fill_n(tiles, strips_of(rows) * blocks * tile_bytes(bits), std::uint8_t{0});
  for (std::size_t row = 0; row < rows; ++row) {
    std::uint8_t* strip = tiles + row / kStripRows * blocks * tile_bytes(bits);
    for (std::size_t col = 0; col < cols; ++col) {
      const unsigned code = codes[row * cols + col];
      LAMELLA_DCHECK(code >> bits == 0);
      std::uint8_t* tile = strip + col / kBlockCols * tile_bytes(bits);
      visit_code(bits, row % kStripRows, col % kBlockCols,
                 [=](std::size_t byte, int shift, int from, int width) {
                   const unsigned part = code >> from & ((1u << width) - 1);
                   tile[byte] = static_cast<std::uint8_t>(tile[byte] | part << shift);
                 });
    }
  }
}

}  // namespace lamella
