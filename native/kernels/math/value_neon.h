// A fragment: Value is 16 float32 in four NEON registers, one for each lane of a reduction.
//
// Included inside an unnamed namespace, after <arm_neon.h>, <cstring> and kernels/math/tree.h.
// value_portable.h says what the operations give.

struct Value {
  float32x4_t part[4];
};

struct Choice {
  uint32x4_t part[4];
};

// Applies an operation on registers to each part.
template <typename Apply, typename... Values>
inline Value each(Apply apply, const Values&... values) {
  return {{apply(values.part[0]...), apply(values.part[1]...), apply(values.part[2]...),
           apply(values.part[3]...)}};
}

inline Value load(const float* from) {
  return {{vld1q_f32(from), vld1q_f32(from + 4), vld1q_f32(from + 8), vld1q_f32(from + 12)}};
}

// Reads `count` floats; the other lanes are 0.
inline Value load_first(const float* from, std::size_t count) {
  float lanes[kLanes] = {};
  std::memcpy(lanes, from, count * sizeof(float));
  return load(lanes);
}

// Writes the lanes as they are.
inline void spill(float (&lanes)[kLanes], Value x) {
  for (std::size_t i = 0; i < 4; ++i) vst1q_f32(lanes + 4 * i, x.part[i]);
}

inline float32x4_t with_one_nan(float32x4_t x) {
  return vbslq_f32(vceqq_f32(x, x), x, vreinterpretq_f32_u32(vdupq_n_u32(0x7fc00000u)));
}

inline void store(float* to, Value x) {
  for (std::size_t i = 0; i < 4; ++i) vst1q_f32(to + 4 * i, with_one_nan(x.part[i]));
}

inline void store_first(float* to, Value x, std::size_t count) {
  float lanes[kLanes];
  store(lanes, x);
  std::memcpy(to, lanes, count * sizeof(float));
}

inline Value fill(float x) {
  const float32x4_t all = vdupq_n_f32(x);
  return {{all, all, all, all}};
}

inline Value add(Value a, Value b) {
  return each([](float32x4_t x, float32x4_t y) { return vaddq_f32(x, y); }, a, b);
}

inline Value sub(Value a, Value b) {
  return each([](float32x4_t x, float32x4_t y) { return vsubq_f32(x, y); }, a, b);
}

inline Value mul(Value a, Value b) {
  return each([](float32x4_t x, float32x4_t y) { return vmulq_f32(x, y); }, a, b);
}

inline Value div(Value a, Value b) {
  return each([](float32x4_t x, float32x4_t y) { return vdivq_f32(x, y); }, a, b);
}

inline Value fused(Value a, Value b, Value c) {
  return each([](float32x4_t x, float32x4_t y, float32x4_t z) { return vfmaq_f32(z, x, y); }, a, b,
              c);
}

inline Value fused_minus(Value a, Value b, Value c) {
  return each([](float32x4_t x, float32x4_t y, float32x4_t z) { return vfmsq_f32(z, x, y); }, a, b,
              c);
}

// vmaxq_f32 treats NaN and zeros in another way.
inline Value greater_of(Value a, Value b) {
  return each([](float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }, a, b);
}

inline Value lesser_of(Value a, Value b) {
  return each([](float32x4_t x, float32x4_t y) { return vbslq_f32(vcltq_f32(x, y), x, y); }, a, b);
}

inline Choice less(Value a, Value b) {
  return {{vcltq_f32(a.part[0], b.part[0]), vcltq_f32(a.part[1], b.part[1]),
           vcltq_f32(a.part[2], b.part[2]), vcltq_f32(a.part[3], b.part[3])}};
}

inline Choice both_numbers(Value a, Value b) {
  Choice both;
  for (std::size_t i = 0; i < 4; ++i) {
    both.part[i] = vandq_u32(vceqq_f32(a.part[i], a.part[i]), vceqq_f32(b.part[i], b.part[i]));
  }
  return both;
}

inline Value choose(Choice first, Value a, Value b) {
  return each([](uint32x4_t bits, float32x4_t x, float32x4_t y) { return vbslq_f32(bits, x, y); },
              first, a, b);
}

// The first `count` lanes of x, then those of `rest`.
inline Value first_of(Value x, std::size_t count, Value rest) {
  float lanes[kLanes];
  float kept[kLanes];
  spill(lanes, rest);
  spill(kept, x);
  std::memcpy(lanes, kept, count * sizeof(float));
  return load(lanes);
}

inline Value magnitude(Value x) {
  return each([](float32x4_t part) { return vabsq_f32(part); }, x);
}

inline Value with_sign_of(Value x, Value sign) {
  return each([](float32x4_t value,
                 float32x4_t other) { return vbslq_f32(vdupq_n_u32(0x80000000u), other, value); },
              x, sign);
}

inline float32x4_t power_of_two(int32x4_t n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

inline Value times_power_of_two(Value x, Value shifted) {
  return each(
      [](float32x4_t value, float32x4_t sum) {
        const int32x4_t shift = vdupq_n_s32(static_cast<std::int32_t>(kShiftBits));
        const int32x4_t n = vsubq_s32(vreinterpretq_s32_f32(sum), shift);
        const int32x4_t half = vshrq_n_s32(n, 1);
        const float32x4_t once = vmulq_f32(value, power_of_two(half));
        return vmulq_f32(once, power_of_two(vsubq_s32(n, half)));
      },
      x, shifted);
}
