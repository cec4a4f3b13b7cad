#include "kernels/rope/rope.h"

namespace lamella {
namespace {

constexpr RopeKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/rope/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<RopeKernel> rope_kernels() { return kKernels; }

const RopeKernel& rope_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
