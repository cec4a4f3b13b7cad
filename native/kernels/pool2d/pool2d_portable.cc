// pool2d for any processor: the reference of the other kernels.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/pool2d/pool2d.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"

constexpr std::size_t kPooled = 1;

inline Value load_some(const float* from, std::size_t) { return load(from); }
inline void store_some(float* to, Value x, std::size_t) { store(to, x); }

// What follows is the same for every Value.
#include "kernels/pool2d/pool2d_values.h"

}  // namespace

void pool2d_portable(const PoolCall& call, Slice rows) { run(call, rows); }

}  // namespace lamella
