#include "kernels/softmax/softmax.h"

namespace lamella {
namespace {

constexpr SoftmaxKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/softmax/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<SoftmaxKernel> softmax_kernels() { return kKernels; }

const SoftmaxKernel& softmax_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
