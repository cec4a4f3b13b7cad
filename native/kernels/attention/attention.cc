#include "kernels/attention/attention.h"

namespace lamella {
namespace {

constexpr AttentionKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/attention/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<AttentionKernel> attention_kernels() { return kKernels; }

const AttentionKernel& attention_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
