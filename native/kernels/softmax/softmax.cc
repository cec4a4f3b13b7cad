#include "kernels/softmax/softmax.h"

namespace lamella {
namespace {

constexpr SoftmaxKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {#name, needs, &name},
#include "kernels/softmax/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<SoftmaxKernel> softmax_kernels() { return kKernels; }

const SoftmaxKernel& softmax_select(IsaSet host) {
  const SoftmaxKernel* kernel = kKernels;
  while (!runs_on(kernel->needs, host)) ++kernel;
  return *kernel;
}

}  // namespace lamella
