// A fragment: what follows a layer. Included after one of value_<isa>.h.
//
// NaN gives NaN. At -inf each gives the limit of the function, where the formula alone would give
// inf * 0.
#include "kernels/math/functions.h"

// Zero keeps its sign.
inline Value relu(Value x) { return greater_of(fill(0.0f), x); }

inline Value relu6(Value x) { return lesser_of(fill(6.0f), relu(x)); }

// Below, gelu and hard_swish are 0 and silu rounds to 0; the bounds only stop infinity.
inline Value above(float bound, Value x) { return greater_of(fill(bound), x); }

// x / 2 * (1 + erf(x / sqrt(2)))
inline Value gelu(Value x) {
  const Value bounded = above(-16.0f, x);
  const Value half = mul(bounded, fill(0.5f));
  return fused(half, erf(mul(bounded, fill(0x1.6a09e6p-1f))), half);
}

// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
inline Value gelu_tanh(Value x) {
  const Value bounded = above(-16.0f, x);
  const Value half = mul(bounded, fill(0.5f));
  const Value slope = fused(mul(bounded, bounded), fill(0x1.2444f2p-5f), fill(0x1.988454p-1f));
  return fused(half, tanh(mul(bounded, slope)), half);
}

inline Value silu(Value x) {
  const Value bounded = above(-128.0f, x);
  return mul(bounded, sigmoid(bounded));
}

// x * min(max(x + 3, 0), 6) / 6, with a product by 1 / 6
inline Value hard_swish(Value x) {
  const Value bounded = above(-4.0f, x);
  return mul(bounded, mul(relu6(add(bounded, fill(3.0f))), fill(0x1.555556p-3f)));
}

inline Value swiglu(Value gate, Value x) { return mul(silu(gate), x); }
