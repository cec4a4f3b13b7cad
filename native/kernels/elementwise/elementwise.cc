#include "kernels/elementwise/elementwise.h"

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

}  // namespace lamella
