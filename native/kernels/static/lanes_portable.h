// A fragment: how the epilogue reads sums and writes rows, one at a time.
// Included after kernels/math/value_portable.h. The other lanes_<isa>.h have the same on 16 lanes.
#include "kernels/static/codes_portable.h"

// What the sum of a row lacks.
template <int kLowered>
inline std::int32_t offsets_of(const Epilogue& epilogue, std::size_t row) {
  static_assert(kLowered == 0, "the reference multiplies codes as they are");
  return epilogue.offset[row];
}

inline Value exact_sums(std::int32_t offset, const std::int32_t* sums) {
  return static_cast<float>(*sums + offset);
}

inline void store_rows(float* to, Value t, std::size_t) { *to = t; }
