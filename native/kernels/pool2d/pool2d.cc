#include "kernels/pool2d/pool2d.h"

namespace lamella {
namespace {

constexpr PoolKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/pool2d/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<PoolKernel> pool2d_kernels() { return kKernels; }

const PoolKernel& pool2d_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
