// kv_store: writes rows of float32 into a cache of keys or values, in the format of the cache.
//
//   float32   the value
//   float16   the nearest half float, ties to even; infinite beyond 65520
//   int8      with max the largest magnitude of the row: scale = max / 127 and
//             code = round(x * (127 / max)), ties to even, each operation in float32
//   int4      the same with 7 instead of 127; stored as code + 8, and 0 after an odd last code
//
// What attention reads is exactly the value for the floats, and code * scale for the integers,
// which is at most half a step of `scale` (and rounding) away. Two kinds of rows differ, as in
// kernels/linear_input: max < 2^-120 gives scale 0 and codes 0; a value that is infinite or NaN
// gives scale NaN and codes 0.
//
// There is one kernel: a token stores a few hundred values per layer.
#pragma once

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/attention/cache.h"

namespace lamella {

// Shapes: x (tokens, kv_heads, head_dim) float32; place (tokens), the position of the cache that
// each token is written to. No two tokens of a call have the same place.
struct KvStoreCall {
  const float* x;
  const std::int32_t* place;
  Cache cache;
};

// Writes the rows of a slice of tokens.
using KvStoreFn = void (*)(const KvStoreCall& call, Slice tokens);

struct KvStoreKernel : Kernel {
  KvStoreFn run;
};

Span<KvStoreKernel> kv_store_kernels();
const KvStoreKernel& kv_store_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) void name(const KvStoreCall& call, Slice tokens);
#include "kernels/kv_store/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
