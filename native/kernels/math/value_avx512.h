// A fragment: Value is 16 float32 in one AVX-512 register.
//
// Included inside an unnamed namespace and a region for AVX-512 F and DQ, after <immintrin.h> and
// kernels/math/shift.h. value_portable.h says what the operations give.

using Value = __m512;
using Choice = __mmask16;

inline __mmask16 first_lanes(std::size_t count) {
  return static_cast<__mmask16>((1u << count) - 1);
}

inline Value load(const float* from) { return _mm512_loadu_ps(from); }

// Reads `count` floats; the other lanes are 0.
inline Value load_first(const float* from, std::size_t count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), from);
}

inline Value with_one_nan(Value x) {
  const Value nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
  return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
}

inline void store(float* to, Value x) { _mm512_storeu_ps(to, with_one_nan(x)); }

inline void store_first(float* to, Value x, std::size_t count) {
  _mm512_mask_storeu_ps(to, first_lanes(count), with_one_nan(x));
}

// The first `count` lanes of x, then those of `rest`.
inline Value first_of(Value x, std::size_t count, Value rest) {
  return _mm512_mask_mov_ps(rest, first_lanes(count), x);
}

// Writes the lanes as they are.
inline void spill(float (&lanes)[16], Value x) { _mm512_storeu_ps(lanes, x); }

inline Value fill(float x) { return _mm512_set1_ps(x); }
inline Value add(Value a, Value b) { return _mm512_add_ps(a, b); }
inline Value sub(Value a, Value b) { return _mm512_sub_ps(a, b); }
inline Value mul(Value a, Value b) { return _mm512_mul_ps(a, b); }
inline Value div(Value a, Value b) { return _mm512_div_ps(a, b); }
inline Value fused(Value a, Value b, Value c) { return _mm512_fmadd_ps(a, b, c); }
inline Value fused_minus(Value a, Value b, Value c) { return _mm512_fnmadd_ps(a, b, c); }
inline Value greater_of(Value a, Value b) { return _mm512_max_ps(a, b); }
inline Value lesser_of(Value a, Value b) { return _mm512_min_ps(a, b); }
inline Choice less(Value a, Value b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
inline Choice both_numbers(Value a, Value b) { return _mm512_cmp_ps_mask(a, b, _CMP_ORD_Q); }
inline Value choose(Choice first, Value a, Value b) { return _mm512_mask_blend_ps(first, b, a); }
inline Value magnitude(Value x) { return _mm512_andnot_ps(fill(-0.0f), x); }

inline Value with_sign_of(Value x, Value sign) {
  return _mm512_or_ps(magnitude(x), _mm512_and_ps(fill(-0.0f), sign));
}

inline Value times_power_of_two(Value x, Value shifted) {
  const __m512i shift = _mm512_set1_epi32(static_cast<int>(kShiftBits));
  const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(shifted), shift);
  const __m512i half = _mm512_srai_epi32(n, 1);
  const __m512i rest = _mm512_sub_epi32(n, half);
  const __m512i bias = _mm512_set1_epi32(127);
  const __m512i one = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
  const __m512i other = _mm512_slli_epi32(_mm512_add_epi32(rest, bias), 23);
  return mul(mul(x, _mm512_castsi512_ps(one)), _mm512_castsi512_ps(other));
}
