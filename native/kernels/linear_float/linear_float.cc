#include "kernels/linear_float/linear_float.h"

namespace lamella {
namespace {

constexpr LinearFloatKernel kKernels[] = {
#define LAMELLA_KERNEL(name, kind, needs) {#name, kind, needs, &name},
#include "kernels/linear_float/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<LinearFloatKernel> linear_float_kernels() { return kKernels; }

const LinearFloatKernel& linear_float_select(FloatKind kind, IsaSet host) {
  const LinearFloatKernel* kernel = kKernels;
  while (kernel->kind != kind || !runs_on(kernel->needs, host)) ++kernel;
  return *kernel;
}

}  // namespace lamella
