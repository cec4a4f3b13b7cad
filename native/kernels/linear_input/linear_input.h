// linear_input: float32 activations to 8-bit codes, one scale per token and block of 32 columns.
//
// With max the largest magnitude of a block: scale = max / 127 and code = round(x * (127 / max)),
// ties to even, each operation in float32. Codes are -127 to 127. Two kinds of blocks differ:
//   - max < 2^-120, where 127 / max may overflow: scale 0 and codes 0, as for zeros;
//   - a value that is infinite or NaN: scale NaN and codes 0, so that the token's outputs are NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"
#include "base/threads.h"

namespace lamella {

inline constexpr std::size_t kBlockCols = 32;
// The least `max` of a block that is not stored as zeros: 127 / 2^-120 is a finite float32.
inline constexpr float kLeastMax = 0x1p-120f;

constexpr std::size_t blocks_of(std::size_t cols) {
  return cols / kBlockCols + (cols % kBlockCols != 0);
}

// Bytes from one token's codes to the next: whole blocks, and an odd number of cache lines, so
// that neighbouring tokens do not fall into the same cache sets.
constexpr std::size_t token_bytes(std::size_t cols) { return (blocks_of(cols) + 1) / 2 * 64 | 64; }

// Shapes, with blocks = blocks_of(cols): codes (tokens, token_bytes(cols)), of which the first
// 32 * blocks of a token are codes, 0 after the last column; scale, sum and half_sum
// (blocks, tokens), sum being that of the block's codes and half_sum that of its first 16.
struct LinearInput {
  std::size_t tokens;
  std::size_t cols;
  std::int8_t* codes;
  float* scale;
  std::int32_t* sum;
  std::int32_t* half_sum = nullptr;  // may be null: only groups of 16 weights need it
};

// Fills the rows of `input` that belong to the tokens of a slice. Shape: x (tokens, cols).
using LinearInputFn = void (*)(const float* x, const LinearInput& input, Slice tokens);

struct LinearInputKernel : Kernel {
  LinearInputFn run;
};

Span<LinearInputKernel> linear_input_kernels();
const LinearInputKernel& linear_input_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) \
  void name(const float* x, const LinearInput& input, Slice tokens);
#include "kernels/linear_input/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
