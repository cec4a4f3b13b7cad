// transpose for any processor: the reference of the other kernels.
#include <algorithm>
#include <cstring>

#include "kernels/transpose/transpose.h"

namespace lamella {
namespace {

#include "kernels/transpose/elements.h"

template <std::size_t kBytes>
void turn(const TransposePlan& plan, const std::uint8_t* from, std::uint8_t* to, std::size_t lines,
          std::size_t count) {
  turn_elements<kBytes>(plan, from, to, {0, lines}, {0, count});
}

// What follows is the same for every instruction set.
#include "kernels/transpose/planes.h"

}  // namespace

void transpose_portable(const TransposeCall& call, Slice units) { run(call, units); }

}  // namespace lamella
