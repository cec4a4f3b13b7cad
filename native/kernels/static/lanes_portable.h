// A fragment: how the epilogue reads sums and codes and writes rows, one at a time.
// Included after kernels/math/value_portable.h. The other lanes_<isa>.h have the same on 16 lanes.

constexpr std::size_t kWidth = 1;

template <int kLowered>
inline Value exact_sums(const Epilogue& epilogue, std::size_t row, const std::int32_t* sums) {
  return static_cast<float>(*sums + epilogue.offset[row] + kLowered * epilogue.sum[row]);
}

inline Value load_codes(const std::uint8_t* codes, std::int32_t zero, std::size_t) {
  return static_cast<float>(*codes - zero);
}

inline void store_codes(std::uint8_t* to, Value t, std::int32_t zero, std::size_t) {
  *to = static_cast<std::uint8_t>(static_cast<std::int32_t>(std::nearbyint(t)) + zero);
}

inline void store_rows(float* to, Value t, std::size_t) { *to = t; }
