// What a decoder needs beside layers and attention: rope, kv_store and take.
#include <cstring>

#include "engine/arguments.h"
#include "engine/ops/indices.h"
#include "kernels/kv_store/kv_store.h"
#include "kernels/rope/rope.h"

namespace lamella {
namespace {

// The least number of elements that is worth a second thread.
constexpr std::size_t kLeastPart = 16384;

ThreadPool* pool_for(const Context& context, std::size_t elements) {
  return elements < 2 * kLeastPart ? nullptr : context.pool;
}

Status check_rope(const Call& call) {
  Check check(call, {5, 1});
  if (!check.array(0, DType::kF32, {kAny, kAny, kAny}).ok()) return check.status();
  const Tensor& x = *call.operand(0);
  check.require(x.sizes[2] % 2 == 0, "the width of its heads is odd");
  check.array(1, DType::kF32, {kAny, x.sizes[2] / 2});
  check.array(2, DType::kF32, {kAny, x.sizes[2] / 2});
  check.array(3, DType::kI32, {x.sizes[0]}).kind(4, DType::kF32);
  return check.ok() ? check.same(1, 2).same(0, 4).status() : check.status();
}

std::size_t scratch_rope(const Call& call, std::size_t) {
  return call.operand(3)->count() * sizeof(std::int32_t);
}

Status run_rope(const Call& call, const Context& context) {
  const Tensor& x = *call.operand(0);
  auto* position = reinterpret_cast<std::int32_t*>(context.scratch);
  const Status copied =
      copy_indices(*call.operand(3), call.operand(1)->sizes[0], "position", position);
  if (!copied.ok()) return copied;
  const std::size_t heads = x.sizes[1], half = x.sizes[2] / 2;
  const RopeFn run = rope_select(context.isa).run;
  run_slices(pool_for(context, x.count()), x.sizes[0], [&](Slice tokens) {
    const std::size_t first = tokens.begin * heads * 2 * half;
    const RopeTables tables{call.operand(1)->as<const float>(), call.operand(2)->as<const float>(),
                            position + tokens.begin};
    run({tokens.end - tokens.begin, heads, half}, x.as<const float>() + first, tables,
        call.result().as<float>() + first);
  });
  return Status::success();
}

// A cache is written as (1, positions, kv heads, ...), as attention reads it.
struct CacheKind {
  CacheFormat format;
  DType dtype;
};

constexpr CacheKind kCaches[] = {{CacheFormat::kFloat32, DType::kF32},
                                 {CacheFormat::kFloat16, DType::kF16},
                                 {CacheFormat::kInt8, DType::kI8},
                                 {CacheFormat::kInt4, DType::kU8}};

// The row of a number of bits, or null.
const CacheKind* cache_kind(std::int64_t bits) {
  for (const CacheKind& kind : kCaches) {
    if (static_cast<std::int64_t>(cache_bits(kind.format)) == bits) return &kind;
  }
  return nullptr;
}

Status check_kv_store(const Call& call) {
  const bool scaled = call.written == 2;
  Check check(call, {scaled ? 4u : 3u, scaled ? 2u : 1u, 1});
  if (!check.array(0, DType::kF32, {kAny, kAny, kAny}).ok()) return check.status();
  const Tensor& x = *call.operand(0);
  const CacheKind* kind = cache_kind(call.integers[0]);
  check.require(kind != nullptr && has_scale(kind->format) == scaled,
                "a cache has 32 or 16 bits, or 8 or 4 with a scale");
  if (!check.ok()) return check.status();
  const bool packed = kind->format == CacheFormat::kInt4;
  const std::size_t items = packed ? cache_row_bytes(kind->format, x.sizes[2]) : x.sizes[2];
  check.array(1, DType::kI32, {x.sizes[0]});
  if (!check.array(2, kind->dtype, {1, kAny, x.sizes[1], items}).ok()) return check.status();
  const std::size_t positions = call.operand(2)->sizes[1];
  if (scaled) check.array(3, DType::kF32, {1, positions, x.sizes[1]});
  return check.status();
}

struct StoreScratch {
  StoreScratch(const Call& call, std::uint8_t* data)
      : memory(data),
        place(memory.take<std::int32_t>(call.operand(1)->count())),
        positions(call.operand(2)->sizes[1]),
        taken(memory.take<std::uint8_t>(positions)) {}

  Scratch memory;
  std::int32_t* place;
  std::size_t positions;
  std::uint8_t* taken;  // 1 for each place that a token has
};

std::size_t scratch_kv_store(const Call& call, std::size_t) {
  return StoreScratch(call, nullptr).memory.used();
}

// Two threads must not write one row.
Status copy_places(const Call& call, const StoreScratch& scratch) {
  const Status copied = copy_indices(*call.operand(1), scratch.positions, "place", scratch.place);
  const std::size_t tokens = call.operand(1)->count();
  if (!copied.ok() || tokens < 2) return copied;
  std::memset(scratch.taken, 0, scratch.positions);
  for (std::size_t i = 0; i < tokens; ++i) {
    if (scratch.taken[scratch.place[i]]++ == 0) continue;
    return Status::failure("two tokens have the place " + std::to_string(scratch.place[i]));
  }
  return Status::success();
}

Status run_kv_store(const Call& call, const Context& context) {
  const StoreScratch scratch(call, context.scratch);
  const Status copied = copy_places(call, scratch);
  if (!copied.ok()) return copied;
  const Tensor& x = *call.operand(0);
  float* scale = call.written == 2 ? call.result(1).as<float>() : nullptr;
  const Cache cache{cache_kind(call.integers[0])->format, x.sizes[1], x.sizes[2],
                    call.result().as<std::uint8_t>(), scale};
  const KvStoreCall store{x.as<const float>(), scratch.place, cache};
  const KvStoreFn run = kv_store_select(context.isa).run;
  run_slices(pool_for(context, x.count()), x.sizes[0], [&](Slice tokens) { run(store, tokens); });
  return Status::success();
}

Status check_take(const Call& call) {
  Check check(call, {3, 1});
  if (!check.array(0, DType::kF32, {kAny, kAny}).kind(2, DType::kF32).ok()) return check.status();
  check.array(1, DType::kI32, {kAny});
  if (!check.ok()) return check.status();
  return check.array(2, DType::kF32, {call.operand(1)->sizes[0], call.operand(0)->sizes[1]})
      .status();
}

std::size_t scratch_take(const Call& call, std::size_t) {
  return call.operand(1)->count() * sizeof(std::int32_t);
}

Status run_take(const Call& call, const Context& context) {
  const Tensor &x = *call.operand(0), &y = call.result();
  auto* row = reinterpret_cast<std::int32_t*>(context.scratch);
  const Status copied = copy_indices(*call.operand(1), x.sizes[0], "row", row);
  if (!copied.ok()) return copied;
  const std::size_t cols = x.sizes[1];
  for (std::size_t i = 0; i < y.sizes[0]; ++i) {
    const float* from = x.as<const float>() + static_cast<std::size_t>(row[i]) * cols;
    std::memcpy(y.as<float>() + i * cols, from, cols * sizeof(float));
  }
  return Status::success();
}

}  // namespace

extern const Op kOp_rope = {"rope", 1, check_rope, scratch_rope, run_rope};
extern const Op kOp_kv_store = {"kv_store", 1, check_kv_store, scratch_kv_store, run_kv_store};
extern const Op kOp_take = {"take", 1, check_take, scratch_take, run_take};

}  // namespace lamella
