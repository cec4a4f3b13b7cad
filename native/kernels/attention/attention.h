// attention: softmax(q k^T * scale) v for each query head, over a cache of keys and values.
//
// Query head h reads the keys and values of head h / (heads / kv_heads). The keys that a token
// sees are taken in increasing order of their place in the cache; element n below is the n-th of
// them. No other key or value decides anything: unused places may hold whatever they like.
//   dot[n] = the sum of q[d] * k[n][d] in the 16 lanes and the tree of math/tree.h, each lane one
//            fma per product, starting at 0; for int8 and int4 k holds the codes, without scale
//   score[n] = dot[n] * scale, and dot[n] * key scale[n] * scale for int8 and int4
//   p = softmax(score) as kernels/softmax has it, the lanes running over n
//   w[n] = p[n], and p[n] * value scale[n] for int8 and int4
//   y[d] = fma(w[n], v[n][d], y[d]) for n = 0, 1, ..., starting at 0
// A token that sees no key gets zeros. Every NaN is 0x7fc00000.
//
// To add a kernel, write attention_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests
// all read kernels.inc; none of them changes.
#pragma once

#include <algorithm>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/attention/cache.h"
#include "kernels/math/tree.h"

namespace lamella {

// Which keys a token sees. Causal where query_position is given: those with
// 0 <= key position <= query position and, if window is not 0, query position - key position <
// window. Otherwise those whose `kept` is not 0, or all where `kept` is null.
struct AttentionMask {
  const std::int32_t* query_position;  // (tokens)
  const std::int32_t* key_position;    // (positions), negative where the place is unused
  std::int32_t window;
  const std::uint8_t* kept;  // (positions)
};

// Shapes: query and y (tokens, heads, head_dim) float32. The two caches have the same kv_heads and
// head_dim; kv_heads divides heads. positions is below 2^31.
struct AttentionCall {
  std::size_t tokens;
  std::size_t heads;
  std::size_t positions;
  const float* query;
  Cache keys;
  Cache values;
  AttentionMask mask;
  float scale;
  float* y;

  std::size_t group() const { return heads / keys.kv_heads; }

  // Tokens that share what is read of a cache: a power of two, so that a block has up to kRows
  // query heads that read the same keys, or those of one token.
  std::size_t block_tokens() const {
    std::size_t block = 1;
    while (2 * block * group() <= kRows) block *= 2;
    return block;
  }

  std::size_t blocks() const { return (tokens + block_tokens() - 1) / block_tokens(); }

  // What a call may be split into for threads: unit u is, of the heads of the caches,
  // u mod kv_heads, and of the blocks of tokens the first, the last, the second, the last but one
  // and so on. Of a causal mask, units that follow each other see about as many keys as others.
  std::size_t units() const { return blocks() * keys.kv_heads; }

  // Query heads that a thread has at a time: those of a block and one head of the caches, or of a
  // single token all, so that its caches are read as they lie in memory.
  std::size_t rows() const {
    return tokens == 1 ? heads : std::min(tokens, block_tokens()) * group();
  }

  // Floats of a scratch: scores, queries and sums of a block, and kLanes keys or values.
  std::size_t scratch_floats() const {
    return rows() * whole_lanes(positions) + (2 * rows() + kLanes) * whole_lanes(keys.head_dim);
  }

  static constexpr std::size_t kRows = 16;

  static constexpr std::size_t whole_lanes(std::size_t count) {
    return (count + kLanes - 1) / kLanes * kLanes;
  }
};

// Overwritten; each thread needs its own. Shapes: seen (positions), floats (scratch_floats()).
struct AttentionScratch {
  std::int32_t* seen;
  float* floats;
};

using AttentionFn = void (*)(const AttentionCall& call, AttentionScratch scratch, Slice units);

struct AttentionKernel : Kernel {
  AttentionFn run;
};

Span<AttentionKernel> attention_kernels();
const AttentionKernel& attention_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) \
  void name(const AttentionCall& call, AttentionScratch scratch, Slice units);
#include "kernels/attention/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
