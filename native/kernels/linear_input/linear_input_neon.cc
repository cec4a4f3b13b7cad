// linear_input with NEON: a block is eight registers of floats and two of codes.
#include "kernels/linear_input/linear_input.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include "kernels/linear_input/tokens.h"

namespace lamella {
namespace {

constexpr int kRegisters = 8;

void run_block(const float* x, const BlockResult& result) {
  float32x4_t values[kRegisters];
  uint32x4_t max = vdupq_n_u32(0);
  for (int i = 0; i < kRegisters; ++i) {
    values[i] = vld1q_f32(x + 4 * i);
    max = vmaxq_u32(max, vreinterpretq_u32_f32(vabsq_f32(values[i])));
  }
  const BlockScale block = scale_of_block(vmaxvq_u32(max));
  if (block.inverse == 0) return write_empty(block.scale, result);
  int32x4_t sums[] = {vdupq_n_s32(0), vdupq_n_s32(0)};
  int16x4_t codes[kRegisters];
  for (int i = 0; i < kRegisters; ++i) {
    const int32x4_t code = vcvtnq_s32_f32(vmulq_n_f32(values[i], block.inverse));
    int32x4_t& sum = sums[i / (kRegisters / 2)];
    sum = vaddq_s32(sum, code);
    codes[i] = vmovn_s32(code);
  }
  for (int i = 0; i < kRegisters; i += 2) {
    vst1_s8(result.codes + 4 * i, vmovn_s16(vcombine_s16(codes[i], codes[i + 1])));
  }
  *result.scale = block.scale;
  result.write_sums(vaddvq_s32(sums[0]), vaddvq_s32(sums[1]));
}

}  // namespace

void linear_input_neon(const float* x, const LinearInput& input, Slice tokens) {
  for_each_block(x, input, tokens, &run_block);
}

}  // namespace lamella

#endif  // LAMELLA_ARM
