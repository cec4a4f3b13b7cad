// linear_input for any processor: the reference of the other kernels.
#include <cmath>

#include "kernels/linear_input/tokens.h"

namespace lamella {
namespace {

void run_block(const float* x, const BlockResult& result) {
  std::uint32_t max_bits = 0;
  for (std::size_t i = 0; i < kBlockCols; ++i) {
    max_bits = std::max(max_bits, float_bits(x[i]) & 0x7fffffffu);
  }
  const BlockScale block = scale_of_block(max_bits);
  if (block.inverse == 0) return write_empty(block.scale, result);
  std::int32_t sums[2] = {};
  for (std::size_t i = 0; i < kBlockCols; ++i) {
    const auto code = static_cast<std::int32_t>(std::nearbyint(x[i] * block.inverse));
    result.codes[i] = static_cast<std::int8_t>(code);
    sums[i / (kBlockCols / 2)] += code;
  }
  *result.scale = block.scale;
  result.write_sums(sums[0], sums[1]);
}

}  // namespace

void linear_input_portable(const float* x, const LinearInput& input, Slice tokens) {
  for_each_block(x, input, tokens, &run_block);
}

}  // namespace lamella
