#include "kernels/conv2d_f32/conv2d_f32.h"

namespace lamella {
namespace {

constexpr Conv2dF32Kernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/conv2d_f32/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<Conv2dF32Kernel> conv2d_f32_kernels() { return kKernels; }

const Conv2dF32Kernel& conv2d_f32_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
