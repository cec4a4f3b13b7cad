// A fragment: how the epilogue reads sums and codes and writes rows, in NEON registers.
// Included after <cstring> and kernels/math/value_neon.h.

constexpr std::size_t kWidth = 16;

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

// The codes of 16 rows, or of the first `count` of them and zeros.
inline uint8x16_t load_block(const std::uint8_t* codes) { return vld1q_u8(codes); }

inline uint8x16_t load_first_codes(const std::uint8_t* codes, std::size_t count) {
  std::uint8_t first[kWidth] = {};
  std::memcpy(first, codes, count);
  return load_block(first);
}

inline Value load_codes(const std::uint8_t* codes, std::int32_t zero, std::size_t count) {
  const uint8x16_t bytes = count == kWidth ? load_block(codes) : load_first_codes(codes, count);
  const uint16x8_t words[] = {vmovl_u8(vget_low_u8(bytes)), vmovl_u8(vget_high_u8(bytes))};
  Value values;
  for (std::size_t i = 0; i < 4; ++i) {
    const uint16x4_t four = i % 2 == 0 ? vget_low_u16(words[i / 2]) : vget_high_u16(words[i / 2]);
    const int32x4_t code = vreinterpretq_s32_u32(vmovl_u16(four));
    values.part[i] = vcvtq_f32_s32(vsubq_s32(code, vdupq_n_s32(zero)));
  }
  return values;
}

inline void store_codes(std::uint8_t* to, Value t, std::int32_t zero, std::size_t count) {
  int16x4_t words[4];
  for (std::size_t i = 0; i < 4; ++i) {
    words[i] = vmovn_s32(vaddq_s32(vcvtnq_s32_f32(t.part[i]), vdupq_n_s32(zero)));
  }
  const uint8x8_t low = vqmovun_s16(vcombine_s16(words[0], words[1]));
  const uint8x8_t high = vqmovun_s16(vcombine_s16(words[2], words[3]));
  if (count == kWidth) {
    vst1q_u8(to, vcombine_u8(low, high));
  } else {
    std::uint8_t all[kWidth];
    vst1q_u8(all, vcombine_u8(low, high));
    std::memcpy(to, all, count);
  }
}

inline void store_rows(float* to, Value t, std::size_t count) {
  if (count == kWidth) {
    store(to, t);
  } else {
    store_first(to, t, count);
  }
}
