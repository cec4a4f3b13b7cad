// A fragment: 16 elements of a cache row as a Value, and the tree over a Value's lanes.
//
// Included after kernels/math/value_neon.h. Each format has its bits per element and load(), which
// returns codes without their scale.

// Beside 4 rows, the registers have room for one key or for one part of a value.
constexpr std::size_t kTileKeys = 1;
constexpr std::size_t kTileParts = 1;

// Writes 16 floats as they are.
inline void keep(float* to, Value x) {
  for (std::size_t i = 0; i < 4; ++i) vst1q_f32(to + 4 * i, x.part[i]);
}

struct Float32 {
  static constexpr std::size_t kBits = 32;

  static Value load(const std::uint8_t* row) {
    const auto part = [row](int i) { return vreinterpretq_f32_u8(vld1q_u8(row + 16 * i)); };
    return {{part(0), part(1), part(2), part(3)}};
  }
};

struct Float16 {
  static constexpr std::size_t kBits = 16;

  static Value load(const std::uint8_t* row) {
    const float16x8_t low = vreinterpretq_f16_u8(vld1q_u8(row));
    const float16x8_t high = vreinterpretq_f16_u8(vld1q_u8(row + 16));
    return {{vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low),
             vcvt_f32_f16(vget_low_f16(high)), vcvt_high_f32_f16(high)}};
  }
};

inline Value from_bytes(int8x16_t codes) {
  const int16x8_t low = vmovl_s8(vget_low_s8(codes));
  const int16x8_t high = vmovl_high_s8(codes);
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}

struct Int8 {
  static constexpr std::size_t kBits = 8;

  static Value load(const std::uint8_t* row) {
    return from_bytes(vreinterpretq_s8_u8(vld1q_u8(row)));
  }
};

struct Int4 {
  static constexpr std::size_t kBits = 4;

  static Value load(const std::uint8_t* row) {
    const uint8x8_t pairs = vld1_u8(row);
    const uint8x8_t first = vand_u8(pairs, vdup_n_u8(15));
    const uint8x8_t second = vshr_n_u8(pairs, 4);
    const uint8x16_t codes = vcombine_u8(vzip1_u8(first, second), vzip2_u8(first, second));
    return from_bytes(vsubq_s8(vreinterpretq_s8_u8(codes), vdupq_n_s8(8)));
  }
};

// The tree of kernels/math/tree.h.
inline float sum_of(Value lanes) {
  const float32x4_t low = vaddq_f32(lanes.part[0], lanes.part[2]);
  const float32x4_t high = vaddq_f32(lanes.part[1], lanes.part[3]);
  const float32x4_t four = vaddq_f32(low, high);
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(vpadd_f32(two, two), 0);
}

// Four trees together: the sums of two lanes of two rows share a register.
inline float32x4_t four_lanes(Value x) {
  return vaddq_f32(vaddq_f32(x.part[0], x.part[2]), vaddq_f32(x.part[1], x.part[3]));
}

inline float32x4_t two_lanes(Value x, Value y) {
  const float32x4_t a = four_lanes(x), b = four_lanes(y);
  return vaddq_f32(vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
                   vcombine_f32(vget_high_f32(a), vget_high_f32(b)));
}

inline void store_trees(const Value (&sums)[4][1], float* to, std::size_t stride) {
  const float32x4_t one =
      vpaddq_f32(two_lanes(sums[0][0], sums[1][0]), two_lanes(sums[2][0], sums[3][0]));
  vst1q_lane_f32(to, one, 0);
  vst1q_lane_f32(to + stride, one, 1);
  vst1q_lane_f32(to + 2 * stride, one, 2);
  vst1q_lane_f32(to + 3 * stride, one, 3);
}
