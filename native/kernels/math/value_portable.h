// A fragment: Value is one float32, for the kernels that define what the others must give.
//
// Included inside an unnamed namespace, after <cmath>, <cstdint>, <cstring> and <limits>.
// value_avx2.h and value_neon.h have the same operations on 16 floats.

using Value = float;
using Choice = bool;

inline Value load(const float* from) { return *from; }

// Every NaN is stored as 0x7fc00000, because processors disagree about sign and payload.
inline void store(float* to, Value x) {
  *to = x == x ? x : std::numeric_limits<float>::quiet_NaN();
}

inline Value fill(float x) { return x; }
inline Value add(Value a, Value b) { return a + b; }
inline Value sub(Value a, Value b) { return a - b; }
inline Value mul(Value a, Value b) { return a * b; }
inline Value div(Value a, Value b) { return a / b; }

// a * b + c with one rounding.
inline Value fused(Value a, Value b, Value c) { return std::fma(a, b, c); }

// c - a * b with one rounding.
inline Value fused_minus(Value a, Value b, Value c) { return std::fma(-a, b, c); }

// If one of the two is NaN, or both are zeros, the result is `b`.
inline Value greater_of(Value a, Value b) { return a > b ? a : b; }
inline Value lesser_of(Value a, Value b) { return a < b ? a : b; }

inline Choice less(Value a, Value b) { return a < b; }
inline Choice both_numbers(Value a, Value b) { return a == a && b == b; }
inline Value choose(Choice first, Value a, Value b) { return first ? a : b; }
inline Value magnitude(Value x) { return std::fabs(x); }
inline Value with_sign_of(Value x, Value sign) { return std::copysign(x, sign); }

// x * 2^n, where `shifted` is n + kShift. Two factors, so that the result may be a denormal.
inline Value times_power_of_two(Value x, Value shifted) {
  std::int32_t n = 0;
  std::memcpy(&n, &shifted, sizeof n);
  // A NaN has no n; unsigned arithmetic keeps its nonsense defined, and x is NaN anyway.
  n = static_cast<std::int32_t>(static_cast<std::uint32_t>(n) - kShiftBits);
  const std::int32_t half = n >> 1;
  const auto rest = static_cast<std::uint32_t>(n) - static_cast<std::uint32_t>(half);
  const std::uint32_t bits[2] = {(static_cast<std::uint32_t>(half) + 127) << 23, (rest + 127)
                                                                                     << 23};
  float factors[2] = {};
  std::memcpy(factors, bits, sizeof factors);
  return x * factors[0] * factors[1];
}
