#include "kernels/depthwise_f32/depthwise_f32.h"

namespace lamella {
namespace {

constexpr DepthwiseF32Kernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/depthwise_f32/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<DepthwiseF32Kernel> depthwise_f32_kernels() { return kKernels; }

const DepthwiseF32Kernel& depthwise_f32_select(IsaSet host) {
  return select_kernel(kKernels, host);
}

}  // namespace lamella
