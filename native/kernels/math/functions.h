// A fragment: minimum and maximum of two Values; exp, sigmoid, tanh and erf of one, each one fixed
// sequence of operations.
//
// Included after one of value_<isa>.h, once. The polynomials are minimax fits (Remez) of the
// functions named beside them, their coefficients rounded to float32. test_math.py prints and
// bounds the errors. Denormals are arguments and results like any other; NaN gives NaN.
#pragma once

// NaN if one of the two is; of two zeros, b.
inline Value minimum(Value a, Value b) {
  return choose(both_numbers(a, b), lesser_of(a, b), add(a, b));
}

inline Value maximum(Value a, Value b) {
  return choose(both_numbers(a, b), greater_of(a, b), add(a, b));
}

// Horner's rule; the coefficient of the highest power comes first.
template <std::size_t kCount>
inline Value polynomial(const float (&coefficients)[kCount], Value x) {
  Value sum = fill(coefficients[0]);
  for (std::size_t i = 1; i < kCount; ++i) sum = fused(sum, x, fill(coefficients[i]));
  return sum;
}

// e^x = 2^n * e^r with |r| <= log(2) / 2. Above 88.7228 it is inf, below -103.973 it is 0.
inline Value exp(Value x) {
  // (e^r - 1 - r) / r^2
  constexpr float kTail[] = {0x1.6a23d6p-10f, 0x1.123a2p-7f, 0x1.5558f2p-5f, 0x1.555492p-3f,
                             0x1.fffffcp-2f};
  // The first argument of both is not NaN, so that a NaN passes.
  const Value bounded = lesser_of(fill(89.0f), greater_of(fill(-104.0f), x));
  const Value shifted = fused(bounded, fill(0x1.715476p+0f), fill(kShift));  // log2(e)
  const Value n = sub(shifted, fill(kShift));
  // log(2) in two parts; the first difference is exact.
  const Value near = fused_minus(n, fill(0x1.62e43p-1f), bounded);
  const Value r = fused_minus(n, fill(-0x1.05c61p-29f), near);
  const Value tail = fused(polynomial(kTail, r), mul(r, r), r);
  return times_power_of_two(add(tail, fill(1.0f)), shifted);
}

// 1 / (1 + e^-x), written so that nothing overflows and small results keep their digits.
inline Value sigmoid(Value x) {
  const Value one = fill(1.0f);
  const Value power = exp(sub(fill(0.0f), magnitude(x)));
  return div(choose(less(x, fill(0.0f)), power, one), add(one, power));
}

inline Value tanh(Value x) {
  // (tanh(a) / a - 1) / a^2 as a function of a^2, for a < 0.625
  constexpr float kNear[] = {-0x1.76ac26p-8f, 0x1.5256dap-6f, -0x1.b8444ap-5f, 0x1.110768p-3f,
                             -0x1.555534p-2f};
  const Value a = magnitude(x);
  const Value square = mul(a, a);
  const Value near = fused(mul(polynomial(kNear, square), square), a, a);
  const Value power = exp(add(a, a));
  const Value far = sub(fill(1.0f), div(fill(2.0f), add(power, fill(1.0f))));
  // A NaN is not below the bound either: it passes through `far`.
  return with_sign_of(choose(less(a, fill(0.625f)), near, far), x);
}

inline Value erf(Value x) {
  // erf(a) / a - 1 as a function of a^2, for a < 0.875
  constexpr float kNear[] = {-0x1.463bf4p-11f, 0x1.4a07ecp-8f, -0x1.b6fdfep-6f,
                             0x1.ce21d8p-4f,   -0x1.81271p-2f, 0x1.06eba6p-3f};
  // log(1 - erf(a)) / a, for 0.875 <= a <= 4; from 4 on, erf rounds to 1.
  constexpr float kFar[] = {-0x1.3a3a64p-17f, 0x1.3f1d92p-12f, -0x1.d3b35p-9f, 0x1.82c7d8p-6f,
                            -0x1.b26b96p-4f,  -0x1.454064p-1f, -0x1.20ed6ep+0f};
  const Value a = magnitude(x);
  const Value near = fused(polynomial(kNear, mul(a, a)), a, a);
  const Value bounded = lesser_of(fill(4.0f), a);
  const Value far = sub(fill(1.0f), exp(mul(polynomial(kFar, bounded), bounded)));
  return with_sign_of(choose(less(a, fill(0.875f)), near, far), x);
}
