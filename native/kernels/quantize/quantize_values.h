// A fragment: quantize, kWidth elements at a time. Included after kernels/math/value_<isa>.h and
// kernels/static/codes_<isa>.h.

static_assert(kQuantizeBlock % kWidth == 0, "a block must be whole registers");

// `count` codes, of kWidth numbers whose grids begin at `at`.
inline void quantize_some(const Grids& grids, std::size_t at, const float* x, std::uint8_t* codes,
                          std::size_t count) {
  const Value zero = load(grids.zero + at);
  // The first argument of both bounds is not NaN, so that a NaN passes them; then nothing else is
  // not below 256.
  const Value raised = greater_of(sub(fill(0.0f), zero), div(load(x), load(grids.scale + at)));
  const Value bounded = lesser_of(sub(fill(255.0f), zero), raised);
  const Value number = choose(less(bounded, fill(256.0f)), bounded, fill(0.0f));
  const Value whole = sub(add(number, fill(kShift)), fill(kShift));
  store_codes(codes, inverted(codes_of(add(whole, zero), 0), grids.inverted), count);
}

// kWidth numbers, of the first `count` codes.
inline void dequantize_some(const Grids& grids, std::size_t at, const std::uint8_t* codes, float* x,
                            std::size_t count) {
  const Value code = reals_of(inverted(load_codes(codes, count), grids.inverted), 0);
  store(x, mul(load(grids.scale + at), sub(code, load(grids.zero + at))));
}

// Calls body(element, place of its grid, count) for kWidth elements at a time.
template <typename Body>
void for_each_register(const Grids& grids, Slice elements, const Body& body) {
  std::size_t at = elements.begin % grids.period;
  for (std::size_t i = elements.begin; i < elements.end; i += kWidth) {
    body(i, at, std::min(elements.end - i, kWidth));
    at += kWidth;
    if (at == grids.period) at = 0;
  }
}

void quantize(const Grids& grids, const float* x, std::uint8_t* codes, Slice elements) {
  for_each_register(grids, elements, [&](std::size_t i, std::size_t at, std::size_t count) {
    if (count == kWidth) return quantize_some(grids, at, x + i, codes + i, kWidth);
    float last[kWidth] = {};
    std::copy_n(x + i, count, last);
    quantize_some(grids, at, last, codes + i, count);
  });
}

void dequantize(const Grids& grids, const std::uint8_t* codes, float* x, Slice elements) {
  for_each_register(grids, elements, [&](std::size_t i, std::size_t at, std::size_t count) {
    if (count == kWidth) return dequantize_some(grids, at, codes + i, x + i, kWidth);
    float last[kWidth];
    dequantize_some(grids, at, codes + i, last, count);
    std::copy_n(last, count, x + i);
  });
}
