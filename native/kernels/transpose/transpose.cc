#include "kernels/transpose/transpose.h"

#include <algorithm>

#include "base/check.h"

namespace lamella {
namespace {

constexpr TransposeKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/transpose/kernels.inc"
#undef LAMELLA_KERNEL
};

// The axes of y in their order; returns how many are left of those in `order`.
std::size_t merge_axes(Span<std::size_t> sizes, const std::size_t* order, TransposeAxis* axes) {
  std::size_t steps[kMostAxes];
  std::size_t step = 1;
  for (std::size_t i = sizes.size(); i-- > 0; step *= sizes.begin()[i]) steps[i] = step;
  std::size_t count = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const TransposeAxis axis{sizes.begin()[order[i]], steps[order[i]], 0};
    if (axis.size == 1) continue;
    if (count > 0 && axes[count - 1].from == axis.size * axis.from) {
      axes[count - 1] = {axes[count - 1].size * axis.size, axis.from, 0};
    } else {
      axes[count++] = axis;
    }
  }
  return count;
}

// Elements that stay neighbours are one element, if it is not too wide. Returns its bytes.
std::size_t widen(std::size_t bytes, TransposeAxis* axes, std::size_t* count) {
  if (*count == 0) return bytes;
  const TransposeAxis last = axes[*count - 1];
  const std::size_t wide = bytes * last.size;
  if (last.from != 1 || (wide != 2 && wide != 4)) return bytes;
  --*count;
  for (std::size_t i = 0; i < *count; ++i) axes[i].from /= last.size;
  return wide;
}

}  // namespace

Span<TransposeKernel> transpose_kernels() { return kKernels; }

const TransposeKernel& transpose_select(IsaSet host) { return select_kernel(kKernels, host); }

TransposePlan plan_transpose(std::size_t bytes, Span<std::size_t> sizes, const std::size_t* order) {
  LAMELLA_DCHECK(sizes.size() <= kMostAxes);
  TransposePlan plan{bytes, 0, {}, {1, 1, 1}, {1, 1, 1}};
  TransposeAxis axes[kMostAxes];
  std::size_t count = merge_axes(sizes, order, axes);
  plan.bytes = widen(bytes, axes, &count);
  if (count == 0) return plan;
  std::size_t step = 1;
  for (std::size_t i = count; i-- > 0; step *= axes[i].size) axes[i].to = step;
  plan.run = axes[--count];
  // The line is the last axis of x, or what precedes the run if that is it.
  std::size_t line = count - 1;
  for (std::size_t i = 0; i < count; ++i) line = axes[i].from == 1 ? i : line;
  for (std::size_t i = 0; i < count; ++i) {
    (i == line ? plan.line : plan.axes[plan.outer++]) = axes[i];
  }
  return plan;
}

}  // namespace lamella
