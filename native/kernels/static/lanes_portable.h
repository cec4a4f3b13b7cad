// A fragment: how the epilogue reads sums and writes rows, one at a time.
// Included after kernels/math/value_portable.h. The other lanes_<isa>.h have the same on 16 lanes.
#include "kernels/static/codes_portable.h"

template <int kLowered>
inline Value exact_sums(const Epilogue& epilogue, std::size_t row, const std::int32_t* sums) {
  return static_cast<float>(*sums + epilogue.offset[row] + kLowered * epilogue.sum[row]);
}

inline void store_rows(float* to, Value t, std::size_t) { *to = t; }
