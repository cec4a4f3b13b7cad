#include "kernels/kv_store/kv_store.h"

namespace lamella {
namespace {

constexpr KvStoreKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/kv_store/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<KvStoreKernel> kv_store_kernels() { return kKernels; }

const KvStoreKernel& kv_store_select(IsaSet host) { return select_kernel(kKernels, host); }

}  // namespace lamella
