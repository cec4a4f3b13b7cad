// A fragment: Value is 16 float32 in two AVX2 registers, one for each lane of a reduction.
//
// Included inside an unnamed namespace and a region for "avx2,fma", after <immintrin.h> and
// kernels/math/tree.h. value_portable.h says what the operations give.

struct Value {
  __m256 low, high;
};
using Choice = Value;

// 16 ones, then 16 zeros: a window of it marks the first lanes.
alignas(64) constexpr std::int32_t kFirst[32] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                 -1, -1, -1, -1, -1, -1, -1, -1};

struct First {
  explicit First(std::size_t count)
      : low(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst + kLanes - count))),
        high(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst + kLanes - count + 8))) {}

  __m256i low, high;
};

inline Value load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }

// Reads `count` floats; the other lanes are 0.
inline Value load_first(const float* from, std::size_t count) {
  const First first(count);
  return {_mm256_maskload_ps(from, first.low), _mm256_maskload_ps(from + 8, first.high)};
}

inline __m256 with_one_nan(__m256 x) {
  const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
  return _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

inline void store(float* to, Value x) {
  _mm256_storeu_ps(to, with_one_nan(x.low));
  _mm256_storeu_ps(to + 8, with_one_nan(x.high));
}

inline void store_first(float* to, Value x, std::size_t count) {
  const First first(count);
  _mm256_maskstore_ps(to, first.low, with_one_nan(x.low));
  _mm256_maskstore_ps(to + 8, first.high, with_one_nan(x.high));
}

inline Value fill(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }

inline Value add(Value a, Value b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

inline Value sub(Value a, Value b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

inline Value mul(Value a, Value b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

inline Value div(Value a, Value b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}

inline Value fused(Value a, Value b, Value c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

inline Value fused_minus(Value a, Value b, Value c) {
  return {_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high)};
}

inline Value greater_of(Value a, Value b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

inline Value lesser_of(Value a, Value b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}

inline Choice less(Value a, Value b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}

inline Choice both_numbers(Value a, Value b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_ORD_Q), _mm256_cmp_ps(a.high, b.high, _CMP_ORD_Q)};
}

inline Value choose(Choice first, Value a, Value b) {
  return {_mm256_blendv_ps(b.low, a.low, first.low), _mm256_blendv_ps(b.high, a.high, first.high)};
}

// The first `count` lanes of x, then those of `rest`.
inline Value first_of(Value x, std::size_t count, Value rest) {
  const First first(count);
  return choose({_mm256_castsi256_ps(first.low), _mm256_castsi256_ps(first.high)}, x, rest);
}

inline Value magnitude(Value x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.low), _mm256_andnot_ps(sign, x.high)};
}

inline Value with_sign_of(Value x, Value sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(bit, x.low), _mm256_and_ps(bit, sign.low)),
          _mm256_or_ps(_mm256_andnot_ps(bit, x.high), _mm256_and_ps(bit, sign.high))};
}

inline __m256 times_power_of_two(__m256 x, __m256 shifted) {
  const __m256i shift = _mm256_set1_epi32(static_cast<int>(kShiftBits));
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), shift);
  const __m256i half = _mm256_srai_epi32(n, 1);
  const __m256i rest = _mm256_sub_epi32(n, half);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i one = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i other = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_castsi256_ps(one)), _mm256_castsi256_ps(other));
}

inline Value times_power_of_two(Value x, Value shifted) {
  return {times_power_of_two(x.low, shifted.low), times_power_of_two(x.high, shifted.high)};
}

// Writes the lanes as they are.
inline void spill(float (&lanes)[kLanes], Value x) {
  _mm256_storeu_ps(lanes, x.low);
  _mm256_storeu_ps(lanes + 8, x.high);
}
