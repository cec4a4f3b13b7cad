// What every kernel of attention shares: the part of a call that one token and one head of the
// caches make up.
#pragma once

#include "kernels/attention/attention.h"

namespace lamella {

// Shapes: seen (count), scores (group, count), query and y (group, head_dim).
struct AttentionUnit {
  std::size_t kv_head;
  std::size_t count;
  const std::int32_t* seen;
  float* scores;
  const float* query;
  float* y;
};

// Writes the places of the keys that a token sees and returns how many there are.
inline std::size_t list_seen(const AttentionCall& call, std::size_t token, std::int32_t* seen) {
  const AttentionMask& mask = call.mask;
  std::size_t count = 0;
  for (std::size_t key = 0; key < call.positions; ++key) {
    bool sees = mask.kept == nullptr || mask.kept[key] != 0;
    if (mask.query_position != nullptr) {
      const std::int32_t from = mask.query_position[token], to = mask.key_position[key];
      sees = to >= 0 && to <= from && (mask.window == 0 || from - to < mask.window);
    }
    seen[count] = static_cast<std::int32_t>(key);
    count += sees;
  }
  return count;
}

// Calls visit(AttentionUnit) for each unit of a slice whose token sees a key; writes zeros for
// the others.
template <typename Visit>
void for_each_unit(const AttentionCall& call, AttentionScratch scratch, Slice units,
                   const Visit& visit) {
  const std::size_t kv_heads = call.keys.kv_heads;
  const std::size_t floats = call.group() * call.keys.head_dim;
  for (std::size_t unit = units.begin; unit < units.end; ++unit) {
    const std::size_t count = list_seen(call, unit / kv_heads, scratch.seen);
    float* y = call.y + unit * floats;
    if (count == 0) {
      for (std::size_t i = 0; i < floats; ++i) y[i] = 0;
    } else {
      visit(AttentionUnit{unit % kv_heads, count, scratch.seen, scratch.scores,
                          call.query + unit * floats, y});
    }
  }
}

// Multiplies each row of weights by the scales of the values.
inline void scale_weights(const Cache& values, const AttentionUnit& unit, float* weights) {
  if (values.scale == nullptr) return;
  for (std::size_t n = 0; n < unit.count; ++n) {
    const auto position = static_cast<std::size_t>(unit.seen[n]);
    weights[n] *= values.scale[values.row(position, unit.kv_head)];
  }
}

}  // namespace lamella
