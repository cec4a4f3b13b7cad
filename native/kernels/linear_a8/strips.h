// What the loops over tokens and strips share on every processor.
#pragma once

#include <algorithm>

#include "base/half.h"
#include "kernels/linear_a8/linear_a8.h"

namespace lamella {

// Bytes from what is computed to what is asked for.
inline constexpr std::size_t kTileAhead = 2048, kScaleAhead = 512;

// Strips that are computed side by side: one, two of them, or one twice.
struct Strips {
  std::size_t first;
  std::size_t last;
};

// Asks for what lies some way behind a tile and its scales. Processors read ahead by themselves
// only to the end of a page and not at all in short strips.
template <int kBits, bool kSparse>
LAMELLA_INLINE void prefetch_behind(const LinearWeight& weight, std::size_t strip,
                                    std::size_t block) {
  constexpr int kFirstCache = 3;  // as __builtin_prefetch numbers caches
  // Numbers, because the addresses may lie behind the arrays.
  const std::uint8_t* codes = kSparse ? weight.kept_codes(strip, block) : weight.tile(strip, block);
  const auto tile = reinterpret_cast<std::uintptr_t>(codes) + kTileAhead;
  for (std::size_t byte = 0; byte < tile_bytes(kBits); byte += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(tile + byte), 0, kFirstCache);
  }
  if (weight.half_scale == nullptr) return;
  const auto scale = reinterpret_cast<std::uintptr_t>(weight.half_scale) + kScaleAhead;
  const std::size_t at = sizeof(std::uint16_t) * weight.grid(strip, block);
  __builtin_prefetch(reinterpret_cast<const void*>(scale + at), 0, kFirstCache);
}

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

// Writes `count` values, every NaN as the same pattern. Integers, which compilers turn into
// vectors.
LAMELLA_INLINE void write_values(std::size_t count, const float* values, float* y) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bits = float_bits(values[i]);
    y[i] = float_from_bits((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : bits);
  }
}

// Writes those of 8 sums that belong to rows; `sums` may change.
LAMELLA_INLINE void write_rows(const LinearCall& call, std::size_t token, std::size_t strip,
                               float* sums) {
  const std::size_t row = strip * kStripRows;
  const std::size_t count = std::min(kStripRows, call.weight.rows - row);
  if (call.bias != nullptr) {
    for (std::size_t i = 0; i < count; ++i) sums[i] += call.bias[row + i];
  }
  float* y = call.y + token * call.weight.rows + row;
  if (count == kStripRows) return write_values(kStripRows, sums, y);
  write_values(count, sums, y);
}

}  // namespace lamella
