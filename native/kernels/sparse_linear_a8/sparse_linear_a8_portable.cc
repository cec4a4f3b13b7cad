// sparse_linear_a8 for any processor: the reference of the other kernels.
#include "kernels/linear_a8/portable.h"
#include "kernels/sparse_linear_a8/sparse_linear_a8.h"

namespace lamella {
namespace {

void unpack_sparse(const LinearWeight& weight, std::size_t strip, std::size_t block,
                   TileCodes& codes) {
  const std::size_t tile = strip * blocks_of(weight.cols) + block;
  const std::uint8_t* kept = weight.kept_codes(strip, block);
  for (std::size_t pair = 0; pair < kPairs; ++pair) {
    const std::uint64_t mask = weight.masks[tile * kPairs + pair];
    std::size_t number = 0;
    for (std::size_t place = 0; place < 64; ++place) {
      const std::size_t row = place % kVectorBytes / 4;
      const std::size_t col = (2 * pair + place / kVectorBytes) * 4 + place % 4;
      unsigned code = weight.zero == nullptr
                          ? 1u << (weight.bits - 1)
                          : weight.zero[weight.grid_of_col(strip, block * kBlockCols + col) + row];
      if ((mask >> place & 1) != 0) {
        const std::size_t bit = number++ * static_cast<std::size_t>(weight.bits);
        code = kept[bit / 8] >> bit % 8 & ((1u << weight.bits) - 1);
      }
      codes[row][col] = static_cast<std::uint8_t>(code);
    }
    kept += kept_bytes(weight.bits, mask);
  }
}

void run(const LinearCall& call, Slice strips) {
  run_portable(call, strips, [&](std::size_t strip, std::size_t block, TileCodes& codes) {
    unpack_sparse(call.weight, strip, block, codes);
  });
}

}  // namespace

void sparse_linear_w4a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void sparse_linear_w8a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }

}  // namespace lamella
