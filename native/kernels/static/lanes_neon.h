// A fragment: how the epilogue reads sums and writes rows, in NEON registers.
// Included after <cstring> and kernels/math/value_neon.h.
#include "kernels/static/codes_neon.h"

template <int kLowered>
inline Value exact_sums(const Epilogue& epilogue, std::size_t row, const std::int32_t* sums) {
  Value exact;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t at = row + 4 * i;
    const int32x4_t sum = vaddq_s32(vld1q_s32(sums + 4 * i), vld1q_s32(epilogue.offset + at));
    const int32x4_t raised = vmlaq_n_s32(sum, vld1q_s32(epilogue.sum + at), kLowered);
    exact.part[i] = vcvtq_f32_s32(raised);
  }
  return exact;
}

inline void store_rows(float* to, Value t, std::size_t count) {
  if (count == kWidth) {
    store(to, t);
  } else {
    store_first(to, t, count);
  }
}
