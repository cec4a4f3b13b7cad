// A fragment: Rows is a float for each of the 8 rows of a strip, in two NEON registers.
//
// Included inside an unnamed namespace, after kernels/linear_a8/neon.h. rows_avx2.h says what the
// operations do.

constexpr std::size_t kWide = 1;
constexpr std::size_t kSums = 12;
constexpr std::size_t kTile = 6;

using Rows = neon::Halves<float32x4_t>;
using Codes = neon::Halves<int32x4_t>;

inline Rows zero_rows() { return {vdupq_n_f32(0), vdupq_n_f32(0)}; }

inline Rows load_rows(const float* const* strips, std::size_t offset) {
  return {vld1q_f32(strips[0] + offset), vld1q_f32(strips[0] + offset + 4)};
}

inline Rows load_rows(const std::uint16_t* const* strips, std::size_t offset) {
  const float16x8_t half = vreinterpretq_f16_u16(vld1q_u16(strips[0] + offset));
  return {vcvt_f32_f16(vget_low_f16(half)), vcvt_high_f32_f16(half)};
}

inline Rows load_plain(const float* from) { return {vld1q_f32(from), vld1q_f32(from + 4)}; }

inline void store_rows(float* to, Rows rows) {
  vst1q_f32(to, rows.low);
  vst1q_f32(to + 4, rows.high);
}

inline Rows fused(Rows weight, float x, Rows sum) {
  return {vfmaq_n_f32(sum.low, weight.low, x), vfmaq_n_f32(sum.high, weight.high, x)};
}

inline int32x4_t load_four_codes(const std::uint8_t* from) {
  return vreinterpretq_s32_u8(vld1q_u8(from));
}

inline Codes load_codes(const std::uint8_t* const* strips, std::size_t offset) {
  return {load_four_codes(strips[0] + offset), load_four_codes(strips[0] + offset + 16)};
}

inline Rows load_scale(const LinearWeight& weight, const std::size_t* grids) {
  return neon::load_scale(weight, grids[0]);
}

template <int kBits>
inline Codes load_zero(const LinearWeight& weight, const std::size_t* grids) {
  const int32x4_t middle = vdupq_n_s32(1 << (kBits - 1));
  if (weight.zero == nullptr) return {middle, middle};
  const int16x8_t zero = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(weight.zero + grids[0])));
  return {vmovl_s16(vget_low_s16(zero)), vmovl_high_s16(zero)};
}

template <int kBits, int kShift>
inline float32x4_t decode_four(int32x4_t codes, int32x4_t zero, float32x4_t scale) {
  // A negative count shifts to the right.
  const int32x4_t code =
      vandq_s32(vshlq_s32(codes, vdupq_n_s32(-kShift)), vdupq_n_s32((1 << kBits) - 1));
  return vmulq_f32(vcvtq_f32_s32(vsubq_s32(code, zero)), scale);
}

template <int kBits, int kShift>
inline Rows decode(Codes codes, Codes zero, Rows scale) {
  return {decode_four<kBits, kShift>(codes.low, zero.low, scale.low),
          decode_four<kBits, kShift>(codes.high, zero.high, scale.high)};
}
