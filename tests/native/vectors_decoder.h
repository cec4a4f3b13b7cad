// Cases of attention, kv_store, embed and sample for probe_vectors.cc.
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/embed/embed.h"
#include "kernels/kv_store/kv_store.h"
#include "kernels/sample/sample.h"
#include "vectors_case.h"

namespace lamella::vectors {

using Ids = std::vector<std::int32_t>;

// A cache that kv_store has filled with numbers, the last token first. Formats are those of
// CacheFormat, in its order.
struct Filled {
  Filled(const Case& one, std::size_t format, std::size_t positions, std::size_t kv_heads,
         std::size_t head_dim)
      : form(static_cast<CacheFormat>(format)),
        codes(positions * kv_heads * cache_row_bytes(form, head_dim)),
        scale(has_scale(form) ? positions * kv_heads : 0),
        cache{form, kv_heads, head_dim, codes.data(), scale.data()} {
    Ids place(positions);
    for (std::size_t i = 0; i < positions; ++i) {
      place[i] = static_cast<std::int32_t>(positions - 1 - i);
    }
    const KvStoreKernel& kernel = kv_store_select(one.allowed);
    const Floats x = one.draw.reals(positions * kv_heads * head_dim);
    run_kernel(kernel, [&] { kernel.run({x.data(), place.data(), cache}, {0, positions}); });
  }

  CacheFormat form;
  Bytes codes;
  Floats scale;
  Cache cache;
};

// Shape: positions, kv_heads, head_dim, format.
inline void run_kv_store(const Case& one) {
  const Filled filled(one, one.shape[3], one.shape[0], one.shape[1], one.shape[2]);
  one.hash.add(filled.codes);
  one.hash.add(filled.scale);
}

// Shape: tokens, heads, positions, kv_heads, head_dim, formats of keys and of values, window + 1
// of a causal mask or 0 for a mask of padding.
inline void run_attention(const Case& one) {
  const Shape& shape = one.shape;
  const std::size_t tokens = shape[0], heads = shape[1], positions = shape[2];
  const Floats query = one.draw.reals(tokens * heads * shape[4]);
  const Filled keys(one, shape[5], positions, shape[3], shape[4]);
  const Filled values(one, shape[6], positions, shape[3], shape[4]);
  const Bytes kept = one.draw.codes(positions, 1);
  Ids query_position, key_position;
  for (std::size_t i = 0; i < tokens; ++i) {
    query_position.push_back(static_cast<std::int32_t>(positions - tokens + i));
  }
  for (std::size_t i = 0; i < positions; ++i) {
    key_position.push_back(static_cast<std::int32_t>(positions - 2 - i));
  }
  AttentionMask mask{nullptr, nullptr, 0, kept.data()};
  if (shape[7] != 0) {
    const auto window = static_cast<std::int32_t>(shape[7] - 1);
    mask = {query_position.data(), key_position.data(), window, nullptr};
  }
  Floats y(query.size());
  const AttentionCall call{tokens,       heads, positions, query.data(), keys.cache,
                           values.cache, mask,  0.125f,    y.data()};
  Ids seen(positions);
  Floats floats(call.scratch_floats());
  const AttentionKernel& kernel = attention_select(one.allowed);
  run_kernel(kernel, [&] { kernel.run(call, {seen.data(), floats.data()}, {0, call.units()}); });
  one.hash.add(y);
}

// Shape: rows, cols, bits (16 and 32 for plain tables), group; every row, the last one first.
inline void run_embed(const Case& one) {
  const std::size_t rows = one.shape[0], cols = one.shape[1], group = one.shape[3];
  const int bits = static_cast<int>(one.shape[2]);
  const bool packed = bits <= 8;
  const std::size_t grids = packed ? grids_of(cols, group) : 0;
  const std::size_t scales = strips_of(rows) * grids * kStripRows;
  Bytes tiles(packed ? strips_of(rows) * blocks_of(cols) * tile_bytes(bits) : 0);
  if (packed) {
    pack_tiles(rows, cols, bits, one.draw.codes(rows * cols, bits).data(), tiles.data());
  }
  const auto half = one.draw.halves(packed ? scales : rows * cols);
  const Floats single = one.draw.reals(packed ? scales : rows * cols);
  const Bytes zero = packed ? one.draw.codes(scales, bits) : Bytes();
  const LinearWeight weight{rows,
                            cols,
                            bits,
                            grids,
                            grid_shift_of(group),
                            tiles.data(),
                            group == 0 ? nullptr : half.data(),
                            group == 0 ? single.data() : nullptr,
                            zero.data()};
  Ids id;
  for (std::size_t i = rows; i > 0; --i) id.push_back(static_cast<std::int32_t>(i - 1));
  Floats y(rows * cols);
  const EmbedKernel& kernel = embed_select(one.allowed);
  const EmbedTable table{cols, packed ? &weight : nullptr, bits == 16 ? half.data() : nullptr,
                         bits == 32 ? single.data() : nullptr};
  run_kernel(kernel, [&] { kernel.run({table, id.data(), y.data()}, {0, rows}); });
  one.hash.add(y);
}

// Shape: count, 8 * temperature, top_k, 64 * top_p; the tokens of 32 steps, and argmax.
inline void run_sample(const Case& one) {
  const std::size_t count = one.shape[0];
  const Floats logits = one.draw.reals(count);
  const SampleKernel& kernel = sample_select(one.allowed);
  Floats powers(count);
  std::vector<std::uint64_t> keys(count);
  Ids tokens(1 + 32);
  run_kernel(kernel, [&] {
    tokens[0] = kernel.calls->argmax(count, logits.data());
    for (std::uint64_t step = 0; step < 32; ++step) {
      const Sampling sampling{static_cast<float>(one.shape[1]) / 8, one.shape[2],
                              static_cast<double>(one.shape[3]) / 64, one.draw.number(), step};
      const SampleScratch scratch{powers.data(), keys.data()};
      tokens[1 + step] = kernel.calls->sample({count, logits.data(), sampling}, scratch);
    }
  });
  one.hash.add(tokens);
}

}  // namespace lamella::vectors
