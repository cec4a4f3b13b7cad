// What every kernel of attention shares: the part of a call that some tokens and one head of the
// caches make up.
#pragma once

#include "kernels/attention/attention.h"

namespace lamella {

struct KeyRange {
  std::size_t begin;
  std::size_t end;
};

// Tokens whose keys are neighbours in `seen`, each in its range of it, and heads of the caches:
// one, or several for a single token.
struct AttentionUnit {
  std::size_t kv_head;
  std::size_t heads;
  std::size_t first_token;
  std::size_t tokens;
  std::size_t count;         // of `seen`
  const std::int32_t* seen;  // places in increasing order
  KeyRange range[AttentionCall::kRows];

  // Where the first of a token's heads is in query and y, of those that share one of `heads`.
  std::size_t offset(const AttentionCall& call, std::size_t token, std::size_t head) const {
    const std::size_t before = (first_token + token) * call.heads;
    return (before + (kv_head + head) * call.group()) * call.keys.head_dim;
  }
};

// The positions that a token sees: [low, high].
struct SeenPositions {
  SeenPositions(const AttentionMask& mask, std::size_t token)
      : low(0), high(mask.query_position[token]) {
    if (mask.window != 0 && high >= mask.window) low = high - mask.window + 1;
  }

  std::int32_t low;
  std::int32_t high;
};

// Lists the keys that the tokens of a unit see, and says whether those of each are neighbours.
inline bool list_causal(const AttentionCall& call, std::int32_t* seen, AttentionUnit* unit) {
  const std::int32_t* position = call.mask.key_position;
  SeenPositions all(call.mask, unit->first_token);
  for (std::size_t token = 1; token < unit->tokens; ++token) {
    const SeenPositions one(call.mask, unit->first_token + token);
    all.low = std::min(all.low, one.low);
    all.high = std::max(all.high, one.high);
  }
  bool ordered = true;
  std::int32_t last = -1;
  unit->count = 0;
  for (std::size_t key = 0; key < call.positions; ++key) {
    if (position[key] < all.low || position[key] > all.high) continue;
    ordered = ordered && position[key] > last;
    last = position[key];
    seen[unit->count++] = static_cast<std::int32_t>(key);
  }
  for (std::size_t token = 0; token < unit->tokens; ++token) {
    const SeenPositions one(call.mask, unit->first_token + token);
    KeyRange range{0, unit->count};
    while (range.begin < range.end && position[seen[range.begin]] < one.low) ++range.begin;
    while (range.begin < range.end && position[seen[range.end - 1]] > one.high) --range.end;
    unit->range[token] = range;
  }
  return ordered || unit->tokens == 1;
}

inline bool list_kept(const AttentionCall& call, std::int32_t* seen, AttentionUnit* unit) {
  const std::uint8_t* kept = call.mask.kept;
  unit->count = 0;
  for (std::size_t key = 0; key < call.positions; ++key) {
    if (kept == nullptr || kept[key] != 0) seen[unit->count++] = static_cast<std::int32_t>(key);
  }
  for (std::size_t token = 0; token < unit->tokens; ++token) unit->range[token] = {0, unit->count};
  return true;
}

// Lists the keys of tokens that follow each other, as many as share them, at least one.
inline void list_seen(const AttentionCall& call, std::int32_t* seen, AttentionUnit* unit) {
  const auto list = call.mask.query_position == nullptr ? &list_kept : &list_causal;
  unit->seen = seen;
  if (list(call, seen, unit)) return;
  unit->tokens = 1;
  list(call, seen, unit);
}

// Calls visit(AttentionUnit) for each unit of a slice, or for each of its tokens where they do not
// share their keys.
template <typename Visit>
void for_each_unit(const AttentionCall& call, AttentionScratch scratch, Slice units,
                   const Visit& visit) {
  const std::size_t kv_heads = call.keys.kv_heads, size = call.block_tokens();
  for (std::size_t at = units.begin; at < units.end;) {
    const std::size_t number = at / kv_heads, first_head = at % kv_heads;
    const std::size_t last_head = std::min(kv_heads, first_head + units.end - at);
    const std::size_t block = number % 2 == 0 ? number / 2 : call.blocks() - 1 - number / 2;
    const std::size_t end = std::min(call.tokens, (block + 1) * size);
    AttentionUnit unit{};
    for (unit.first_token = block * size; unit.first_token < end; unit.first_token += unit.tokens) {
      unit.tokens = end - unit.first_token;
      list_seen(call, scratch.seen, &unit);
      unit.heads = call.tokens == 1 ? last_head - first_head : 1;
      for (unit.kv_head = first_head; unit.kv_head < last_head; unit.kv_head += unit.heads) {
        visit(unit);
      }
    }
    at += last_head - first_head;
  }
}

}  // namespace lamella
