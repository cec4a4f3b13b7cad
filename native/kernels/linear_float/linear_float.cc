#include "kernels/linear_float/linear_float.h"

namespace lamella {
namespace {

constexpr LinearFloatKernel kKernels[] = {
#define LAMELLA_KERNEL(name, kind, needs) {{#name, needs}, kind, &name},
#include "kernels/linear_float/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<LinearFloatKernel> linear_float_kernels() { return kKernels; }

const LinearFloatKernel& linear_float_select(FloatKind kind, IsaSet host) {
  return select_kernel(kKernels, &LinearFloatKernel::kind, kind, host);
}

}  // namespace lamella
