#include "kernels/embed/embed.h"

namespace lamella {
namespace {

constexpr EmbedKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/embed/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<EmbedKernel> embed_kernels() { return kKernels; }

const EmbedKernel& embed_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
