// A fragment: how the epilogue reads sums and writes rows, in NEON registers.
// Included after <cstring> and kernels/math/value_neon.h.
#include "kernels/static/codes_neon.h"

// What the sums of 16 rows lack.
struct Offsets {
  int32x4_t part[4];
};

template <int kLowered>
inline Offsets offsets_of(const Epilogue& epilogue, std::size_t row) {
  Offsets offsets;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t at = row + 4 * i;
    offsets.part[i] =
        vmlaq_n_s32(vld1q_s32(epilogue.offset + at), vld1q_s32(epilogue.sum + at), kLowered);
  }
  return offsets;
}

inline Value exact_sums(const Offsets& offsets, const std::int32_t* sums) {
  Value exact;
  for (std::size_t i = 0; i < 4; ++i) {
    exact.part[i] = vcvtq_f32_s32(vaddq_s32(vld1q_s32(sums + 4 * i), offsets.part[i]));
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
