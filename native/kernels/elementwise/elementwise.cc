#include "kernels/elementwise/elementwise.h"

#include <algorithm>

#include "base/check.h"

namespace lamella {
namespace {

constexpr ElementwiseKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/elementwise/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<ElementwiseKernel> elementwise_kernels() { return kKernels; }

const ElementwiseKernel& elementwise_select(IsaSet host) { return select_kernel(kKernels, host); }

Broadcast plan_broadcast(Span<std::size_t> a, Span<std::size_t> b) {
  LAMELLA_DCHECK(a.size() == b.size() && a.size() <= kMostAxes);
  BroadcastAxis inner_first[kMostAxes] = {{1, 1, 1}};
  std::size_t count = 0, a_step = 1, b_step = 1;
  for (std::size_t i = a.size(); i-- > 0;) {
    const std::size_t a_size = a.begin()[i], b_size = b.begin()[i];
    const BroadcastAxis axis{a_size == 1 ? b_size : a_size, a_size == 1 ? 0 : a_step,
                             b_size == 1 ? 0 : b_step};
    a_step *= a_size;
    b_step *= b_size;
    if (axis.size == 1) continue;
    BroadcastAxis* inner = count == 0 ? nullptr : &inner_first[count - 1];
    if (inner != nullptr && axis.a == inner->a * inner->size && axis.b == inner->b * inner->size) {
      inner->size *= axis.size;
    } else {
      inner_first[count++] = axis;
    }
  }
  Broadcast shape{std::max(count, std::size_t{1}), {}};
  std::reverse_copy(inner_first, inner_first + shape.rank, shape.axes);
  return shape;
}

}  // namespace lamella
