// A fragment: one code of a byte and what it stands for.
// Included after kernels/math/value_portable.h. codes_avx2.h says what the functions do.

constexpr std::size_t kWidth = 1;
using Block = std::uint8_t;

inline Block load_codes(const std::uint8_t* codes, std::size_t) { return *codes; }

inline Block inverted(Block codes, std::uint8_t mask) {
  return static_cast<std::uint8_t>(codes ^ mask);
}

inline Value reals_of(Block codes, std::int32_t zero) { return static_cast<float>(codes - zero); }

inline Block codes_of(Value t, std::int32_t zero) {
  return static_cast<std::uint8_t>(static_cast<std::int32_t>(std::nearbyint(t)) + zero);
}

inline void store_codes(std::uint8_t* to, Block codes, std::size_t) { *to = codes; }
