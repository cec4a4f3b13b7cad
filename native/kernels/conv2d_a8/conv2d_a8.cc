#include "kernels/conv2d_a8/conv2d_a8.h"

#include <algorithm>

#include "base/check.h"

namespace lamella {
namespace {

constexpr Conv2dKernel kKernels[] = {
#define LAMELLA_KERNEL(name, bits, needs) {{#name, needs}, bits, &name},
#include "kernels/conv2d_a8/kernels.inc"
#undef LAMELLA_KERNEL
};

// Writes the code at a row of a strip and a channel of a tap whose tiles are given.
void place_code(int bits, std::size_t row, std::size_t col, unsigned code, std::uint8_t* tiles) {
  std::uint8_t* tile = tiles + col / kBlockCols * tile_bytes(bits);
  visit_code(bits, row, col % kBlockCols, [=](std::size_t byte, int shift, int from, int width) {
    const unsigned part = code >> from & ((1u << width) - 1);
    tile[byte] = static_cast<std::uint8_t>(tile[byte] | part << shift);
  });
}

}  // namespace

Span<Conv2dKernel> conv2d_a8_kernels() { return kKernels; }

const Conv2dKernel& conv2d_a8_select(int bits, IsaSet host) {
  return select_kernel(kKernels, &Conv2dKernel::bits, bits, host);
}

void pack_conv2d(const Conv2dSize& size, const std::uint8_t* codes, std::uint8_t* tiles,
                 std::int32_t* sum) {
  const int zero = 1 << (size.bits - 1);
  const std::size_t blocks = blocks_of(size.cols);
  std::fill_n(tiles, size.strips() * size.strip_bytes(), std::uint8_t{0});
  std::fill_n(sum, size.epilogue_rows(), 0);
  for (std::size_t row = 0; row < size.groups * size.rows; ++row) {
    const std::size_t in_group = row % size.rows;
    const std::size_t strip = row / size.rows * size.group_strips() + in_group / kStripRows;
    const std::size_t lane = in_group % kStripRows;
    for (std::size_t tap = 0; tap < size.taps; ++tap) {
      const std::uint8_t* from = codes + (row * size.taps + tap) * size.cols;
      std::uint8_t* to = tiles + strip * size.strip_bytes() + tap * blocks * tile_bytes(size.bits);
      for (std::size_t col = 0; col < blocks * kBlockCols; ++col) {
        const int code = col < size.cols ? from[col] : zero;
        LAMELLA_DCHECK(code >> size.bits == 0);
        place_code(size.bits, lane, col, static_cast<unsigned>(code), to);
        sum[strip * kStripRows + lane] += code - zero;
      }
    }
  }
}

}  // namespace lamella
