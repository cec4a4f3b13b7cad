// A fragment: 16 codes of a byte and what they stand for, in NEON registers.
// Included after <cstring> and kernels/math/value_neon.h. codes_avx2.h says what the functions do.

constexpr std::size_t kWidth = 16;
using Block = uint8x16_t;

inline Block load_block(const std::uint8_t* codes) { return vld1q_u8(codes); }

inline Block load_first_codes(const std::uint8_t* codes, std::size_t count) {
  std::uint8_t first[kWidth] = {};
  std::memcpy(first, codes, count);
  return load_block(first);
}

inline Block load_codes(const std::uint8_t* codes, std::size_t count) {
  return count == kWidth ? load_block(codes) : load_first_codes(codes, count);
}

inline Block inverted(Block codes, std::uint8_t mask) { return veorq_u8(codes, vdupq_n_u8(mask)); }

inline Value reals_of(Block codes, std::int32_t zero) {
  const uint16x8_t words[] = {vmovl_u8(vget_low_u8(codes)), vmovl_u8(vget_high_u8(codes))};
  Value values;
  for (std::size_t i = 0; i < 4; ++i) {
    const uint16x4_t four = i % 2 == 0 ? vget_low_u16(words[i / 2]) : vget_high_u16(words[i / 2]);
    const int32x4_t code = vreinterpretq_s32_u32(vmovl_u16(four));
    values.part[i] = vcvtq_f32_s32(vsubq_s32(code, vdupq_n_s32(zero)));
  }
  return values;
}

inline Block codes_of(Value t, std::int32_t zero) {
  int16x4_t words[4];
  for (std::size_t i = 0; i < 4; ++i) {
    words[i] = vmovn_s32(vaddq_s32(vcvtnq_s32_f32(t.part[i]), vdupq_n_s32(zero)));
  }
  return vcombine_u8(vqmovun_s16(vcombine_s16(words[0], words[1])),
                     vqmovun_s16(vcombine_s16(words[2], words[3])));
}

inline void store_codes(std::uint8_t* to, Block codes, std::size_t count) {
  if (count == kWidth) {
    vst1q_u8(to, codes);
  } else {
    std::uint8_t all[kWidth];
    vst1q_u8(all, codes);
    std::memcpy(to, all, count);
  }
}
