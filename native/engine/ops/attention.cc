// attention, over a batch of sequences with caches of their own.
#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>

#include "engine/arguments.h"

namespace lamella {
namespace {

// Beyond this, what a thread needs for its heads and positions might not fit 64 bits.
constexpr std::size_t kMostHeads = 65535;

// The operands in their order.
enum At : std::size_t {
  kQuery,
  kKeys,
  kKeyScale,
  kValues,
  kValueScale,
  kQueryPosition,
  kKeyPosition,
  kKept,
  kOut
};

struct Stored {
  DType dtype;
  CacheFormat format;
};

Stored stored_as(std::int64_t bits) {
  return bits == 32   ? Stored{DType::kF32, CacheFormat::kFloat32}
         : bits == 16 ? Stored{DType::kF16, CacheFormat::kFloat16}
         : bits == 8  ? Stored{DType::kI8, CacheFormat::kInt8}
                      : Stored{DType::kU8, CacheFormat::kInt4};
}

void check_cache(Check& check, const Call& call, std::size_t at) {
  if (!check.ok()) return;
  const Stored stored = stored_as(call.integers[0]);
  const Tensor& query = *call.operand(kQuery);
  const Tensor& keys = *call.operand(kKeys);
  const std::size_t positions = keys.rank == 4 ? keys.sizes[1] : 0;
  const std::size_t heads = keys.rank == 4 ? keys.sizes[2] : 0;
  const std::size_t width = query.sizes[3];
  const std::size_t items = stored.format == CacheFormat::kInt4 ? (width + 1) / 2 : width;
  check.array(at, stored.dtype, {query.sizes[0], positions, heads, items});
  if (!has_scale(stored.format)) {
    check.require(call.operand(at + 1) == nullptr, "a cache of floats has no scale");
  } else {
    check.array(at + 1, DType::kF32, {query.sizes[0], positions, heads});
  }
}

Status check_attention(const Call& call) {
  Check check(call, {9, 1, 2, 1});
  check.array(kQuery, DType::kF32, {kAny, kAny, kAny, kAny}).kind(kOut, DType::kF32);
  if (!check.ok() || !check.same(kQuery, kOut).ok()) return check.status();
  const std::int64_t bits = call.integers[0];
  check.require(bits == 32 || bits == 16 || bits == 8 || bits == 4, "no cache has its bits");
  check.integer(1, 0, INT32_MAX).require(std::isfinite(call.numbers[0]), "scale must be finite");
  check.require(call.operand(kKeys) != nullptr, "it has no keys");
  check_cache(check, call, kKeys);
  check_cache(check, call, kValues);
  if (!check.ok()) return check.status();
  const std::size_t *query = call.operand(kQuery)->sizes, *keys = call.operand(kKeys)->sizes;
  check.require(keys[2] != 0 && query[2] % keys[2] == 0 && query[2] <= kMostHeads,
                "the heads of the query are no multiple of those of the cache, or too many");
  check.require(query[3] != 0 && query[3] <= kMostHeads, "the width of a head is out of range");
  const bool causal = call.operand(kQueryPosition) != nullptr;
  check.require(causal == (call.operand(kKeyPosition) != nullptr),
                "positions must be given of queries and keys, or of neither");
  check.require(!causal || call.operand(kKept) == nullptr, "a causal mask has no `kept`");
  check.optional(kQueryPosition, DType::kI32, {query[1]});
  check.optional(kKeyPosition, DType::kI32, {keys[1]});
  return check.optional(kKept, DType::kBool, {query[0], keys[1]}).status();
}

// A sequence of the batch.
struct Sequence {
  const Call& call;
  std::size_t index;

  template <typename Item>
  Item* part(At at) const {
    const Tensor* tensor = call.operand(at);
    if (tensor == nullptr) return nullptr;
    return tensor->as<Item>() + index * tensor->count(1, tensor->rank);
  }

  Cache cache(At at) const {
    const Tensor& codes = *call.operand(at);
    const std::size_t bytes = codes.count(1, codes.rank) * bytes_of(codes.dtype);
    return {stored_as(call.integers[0]).format, codes.sizes[2], call.operand(kQuery)->sizes[3],
            codes.as<std::uint8_t>() + index * bytes, part<float>(static_cast<At>(at + 1))};
  }
};

// The places of a cache up to the last that is in use: a cache may have room for much more text
// than there is.
std::size_t used_places(const Call& call) {
  std::size_t places = call.operand(kKeys)->sizes[1];
  if (call.operand(kKeyPosition) == nullptr) return places;
  const auto* position = call.operand(kKeyPosition)->as<const std::int32_t>();
  constexpr std::size_t kRun = 64;
  for (; places > kRun; places -= kRun) {
    std::int32_t all = -1;
    for (std::size_t i = places - kRun; i < places; ++i) all &= position[i];
    if (all >= 0) break;
  }
  return places;
}

AttentionCall kernel_call(const Call& call, std::size_t index, const AttentionMask& mask) {
  const Sequence one{call, index};
  const Tensor& query = *call.operand(kQuery);
  return {query.sizes[1],
          query.sizes[2],
          call.operand(kKeys)->sizes[1],
          one.part<const float>(kQuery),
          one.cache(kKeys),
          one.cache(kValues),
          mask,
          call.numbers[0],
          one.part<float>(kOut)};
}

// What the threads need, and copies of the mask: what a call writes may lie where its mask does,
// and kernels rely on a mask that stays as it is.
struct AttentionMemory {
  AttentionMemory(const Call& call, std::size_t threads, std::uint8_t* scratch) : memory(scratch) {
    AttentionCall one = kernel_call(call, 0, {});
    floats = one.scratch_floats();
    one.tokens = 1;
    // So that fewer tokens never need more.
    floats = std::max(floats, one.scratch_floats());
    positions = one.positions;
    rows = memory.take<float>(threads * floats);
    seen = memory.take<std::int32_t>(threads * positions);
    query_position = memory.take<std::int32_t>(call.operand(kQuery)->sizes[1]);
    key_position = memory.take<std::int32_t>(positions);
    kept = memory.take<std::uint8_t>(positions);
  }

  AttentionScratch part(std::size_t i) const { return {seen + i * positions, rows + i * floats}; }

  // The first `places` of the mask of a sequence.
  AttentionMask mask(const Call& call, std::size_t index, std::size_t places) const {
    AttentionMask mask{nullptr, nullptr, static_cast<std::int32_t>(call.integers[1]), nullptr};
    if (const Tensor* given = call.operand(kQueryPosition)) {
      std::copy_n(given->as<const std::int32_t>(), given->count(), query_position);
      std::copy_n(call.operand(kKeyPosition)->as<const std::int32_t>(), places, key_position);
      mask.query_position = query_position;
      mask.key_position = key_position;
    } else if (call.operand(kKept) != nullptr) {
      std::copy_n(Sequence{call, index}.part<const std::uint8_t>(kKept), places, kept);
      mask.kept = kept;
    }
    return mask;
  }

  Scratch memory;
  std::size_t floats;
  std::size_t positions;
  float* rows;
  std::int32_t* seen;
  std::int32_t* query_position;
  std::int32_t* key_position;
  std::uint8_t* kept;
};

std::size_t scratch_attention(const Call& call, std::size_t threads) {
  return AttentionMemory(call, threads, nullptr).memory.used();
}

Status run_attention(const Call& call, const Context& context) {
  const AttentionMemory memory(call, context.threads(), context.scratch);
  const AttentionFn run = attention_select(context.isa).run;
  const std::size_t places = used_places(call);
  for (std::size_t index = 0; index < call.operand(kQuery)->sizes[0]; ++index) {
    AttentionCall one = kernel_call(call, index, memory.mask(call, index, places));
    one.positions = places;
    run_parts(context.pool, one.units(),
              [&](std::size_t part, Slice units) { run(one, memory.part(part), units); });
  }
  return Status::success();
}

}  // namespace

extern const Op kOp_attention = {"attention", 1, check_attention, scratch_attention, run_attention};

}  // namespace lamella
