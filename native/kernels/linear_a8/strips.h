// What the loops over tokens and strips share on every processor.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/half.h"
#include "kernels/linear_a8/linear_a8.h"

namespace lamella {

// Strips that are computed side by side: one, two neighbours, or one twice where none follows.
struct Strips {
  std::size_t first;
  std::size_t last;
};

// The input of one token and block.
struct TokenBlock {
  const std::int8_t* codes;
  float scale;
  std::int32_t sum;
  std::int32_t half_sum;  // of the first 16; 0 where nobody asks for it
};

// The sum of one of `kParts` equal parts of a block, 1 or 2.
template <std::size_t kParts, std::size_t kPart>
LAMELLA_INLINE std::int32_t sum_of_part(const TokenBlock& token) {
  if constexpr (kParts == 1) return token.sum;
  return kPart == 0 ? token.half_sum : token.sum - token.half_sum;
}

inline TokenBlock token_block(const LinearInput& input, std::size_t token, std::size_t block) {
  const std::size_t at = block * input.tokens + token;
  return {input.codes + token * token_bytes(input.cols) + block * kBlockCols, input.scale[at],
          input.sum[at], input.half_sum == nullptr ? 0 : input.half_sum[at]};
}

// Four codes of a step as one number, the first in the lowest byte.
inline std::int32_t step_input(const std::int8_t* codes, std::size_t step) {
  std::int32_t four = 0;
  __builtin_memcpy(&four, codes + 4 * step, sizeof four);
  return four;
}

// Writes those of 8 sums that belong to rows, every NaN as the same pattern.
inline void write_rows(const LinearCall& call, std::size_t token, std::size_t strip,
                       const float* sums) {
  const std::size_t row = strip * kStripRows;
  float* y = call.y + token * call.weight.rows + row;
  for (std::size_t i = 0; i < kStripRows && row + i < call.weight.rows; ++i) {
    const float value = call.bias == nullptr ? sums[i] : sums[i] + call.bias[row + i];
    y[i] = std::isnan(value) ? float_from_bits(0x7fc00000u) : value;
  }
}

}  // namespace lamella
