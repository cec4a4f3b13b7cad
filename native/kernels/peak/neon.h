// A fragment: what the ways to multiply bytes in NEON registers share. Included after <arm_neon.h>.

struct Codes {
  using Operand = int8x16_t;
  using Sum = int32x4_t;

  LAMELLA_INLINE static int8x16_t all(int code) {
    return vdupq_n_s8(static_cast<std::int8_t>(code));
  }
  LAMELLA_INLINE static int32x4_t zero() { return vdupq_n_s32(0); }

  LAMELLA_INLINE static std::uint32_t total(int32x4_t sum) {
    return vaddvq_u32(vreinterpretq_u32_s32(sum));
  }
};
