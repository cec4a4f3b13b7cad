// A fragment: the epilogue of kernels/static/epilogue.h for up to 16 rows of one position.
// Included after kernels/math/value_<isa>.h and kernels/static/lanes_<isa>.h.

// `at` is the first row in the parameters; there are 16 sums, of which `count` from `index` on in
// `to` are written.
template <int kLowered>
inline void finish(const Epilogue& epilogue, std::size_t at, const std::int32_t* sums,
                   const Finished& to, std::size_t index, std::size_t count) {
  for (std::size_t i = 0; i < count; i += kWidth) {
    const std::size_t rows = count - i < kWidth ? count - i : kWidth;
    const std::size_t row = at + i;
    Value t = fused(exact_sums<kLowered>(epilogue, row, sums + i), load(epilogue.step + row),
                    load(epilogue.bias + row));
    if (to.residual != nullptr) {
      const Block codes = load_codes(to.residual + index + i, rows);
      const Value other = reals_of(codes, epilogue.residual_zero);
      t = fused(other, fill(epilogue.residual_step), t);
    }
    t = lesser_of(fill(epilogue.high), greater_of(fill(epilogue.low), t));
    if (epilogue.codes) {
      const Block codes = codes_of(t, epilogue.zero);
      store_codes(static_cast<std::uint8_t*>(to.y) + index + i, codes, rows);
    } else {
      store_rows(static_cast<float*>(to.y) + index + i, t, rows);
    }
  }
}
