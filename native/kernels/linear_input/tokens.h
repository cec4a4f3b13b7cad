// The loop over blocks that every kernel of linear_input shares, and the border cases of a block.
#pragma once

#include <algorithm>
#include <cstring>

#include "base/half.h"
#include "kernels/linear_input/linear_input.h"

namespace lamella {

struct BlockScale {
  float scale;
  float inverse;  // what a value is multiplied with; 0 where every code is 0
};

// `max_bits` is the largest pattern of a block's magnitudes, which are ordered like the floats
// that they stand for, with infinity and NaN above all numbers.
inline BlockScale scale_of_block(std::uint32_t max_bits) {
  if (max_bits >= 0x7f800000u) return {float_from_bits(0x7fc00000u), 0};
  const float max = float_from_bits(max_bits);
  if (max < kLeastMax) return {0, 0};
  return {max / 127.0f, 127.0f / max};
}

// Where the results of one block go.
struct BlockResult {
  std::int8_t* codes;
  float* scale;
  std::int32_t* sum;
  std::int32_t* half_sum;  // or null

  // `first` and `second` are the sums of 16 codes each.
  void write_sums(std::int32_t first, std::int32_t second) const {
    *sum = first + second;
    if (half_sum != nullptr) *half_sum = first;
  }
};

// Calls block(x, result) for each block of a slice's tokens; x points to 32 floats, those after
// the last column are 0.
template <typename Block>
void for_each_block(const float* x, const LinearInput& input, Slice tokens, const Block& block) {
  const std::size_t blocks = blocks_of(input.cols);
  const std::size_t whole = input.cols / kBlockCols;
  for (std::size_t token = tokens.begin; token < tokens.end; ++token) {
    const float* from = x + token * input.cols;
    std::int8_t* codes = input.codes + token * token_bytes(input.cols);
    for (std::size_t i = 0; i < blocks; ++i) {
      const std::size_t at = i * input.tokens + token;
      const BlockResult result{codes + i * kBlockCols, input.scale + at, input.sum + at,
                               input.half_sum == nullptr ? nullptr : input.half_sum + at};
      if (i < whole) {
        block(from + i * kBlockCols, result);
      } else {
        float padded[kBlockCols] = {};
        std::copy(from + i * kBlockCols, from + input.cols, padded);
        block(padded, result);
      }
    }
  }
}

// The result of a block whose scale_of_block().inverse is 0.
inline void write_empty(float scale, const BlockResult& result) {
  std::memset(result.codes, 0, kBlockCols);
  *result.scale = scale;
  result.write_sums(0, 0);
}

}  // namespace lamella
