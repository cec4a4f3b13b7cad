#include "kernels/layernorm/layernorm.h"

namespace lamella {
namespace {

constexpr LayernormKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {#name, needs, &name},
#include "kernels/layernorm/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<LayernormKernel> layernorm_kernels() { return kKernels; }

const LayernormKernel& layernorm_select(IsaSet host) {
  const LayernormKernel* kernel = kKernels;
  while (!runs_on(kernel->needs, host)) ++kernel;
  return *kernel;
}

}  // namespace lamella
