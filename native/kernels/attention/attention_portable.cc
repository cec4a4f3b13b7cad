// attention for any processor: the reference of the other kernels.
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "kernels/attention/unit.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"
#include "kernels/softmax/softmax.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"

// The element of a row, without the scale of int8 and int4.
float decoded(CacheFormat format, const std::uint8_t* row, std::size_t i) {
  if (format == CacheFormat::kInt4) return static_cast<float>((row[i / 2] >> i % 2 * 4 & 15) - 8);
  if (format == CacheFormat::kInt8) return static_cast<float>(static_cast<std::int8_t>(row[i]));
  if (format == CacheFormat::kFloat32) {
    float value = 0;
    std::memcpy(&value, row + i * sizeof value, sizeof value);
    return value;
  }
  std::uint16_t half = 0;
  std::memcpy(&half, row + i * sizeof half, sizeof half);
  return half_to_float(half);
}

// One head of one token. Shapes: seen (count), scores (count), query and y (head_dim).
struct Row {
  const std::int32_t* seen;
  std::size_t count;
  std::size_t kv_head;
  float* scores;
  const float* query;
  float* y;

  std::size_t row(const Cache& cache, std::size_t n) const {
    return cache.row(static_cast<std::size_t>(seen[n]), kv_head);
  }
};

void score(const Cache& keys, float scale, const Row& one) {
  for (std::size_t n = 0; n < one.count; ++n) {
    const std::size_t row = one.row(keys, n);
    float lanes[kLanes] = {};
    for (std::size_t d = 0; d < keys.head_dim; ++d) {
      float& lane = lanes[d % kLanes];
      lane = fused(one.query[d], decoded(keys.format, keys.row_codes(row), d), lane);
    }
    const float dot = tree_sum(lanes);
    one.scores[n] = (keys.scale == nullptr ? dot : dot * keys.scale[row]) * scale;
  }
}

void scale_weights(const Cache& values, const Row& one) {
  if (values.scale == nullptr) return;
  for (std::size_t n = 0; n < one.count; ++n) one.scores[n] *= values.scale[one.row(values, n)];
}

void sum_values(const Cache& values, const Row& one) {
  for (std::size_t d = 0; d < values.head_dim; ++d) {
    float sum = 0;
    for (std::size_t n = 0; n < one.count; ++n) {
      const std::uint8_t* codes = values.row_codes(one.row(values, n));
      sum = fused(one.scores[n], decoded(values.format, codes, d), sum);
    }
    store(one.y + d, sum);
  }
}

}  // namespace

void attention_portable(const AttentionCall& call, AttentionScratch scratch, Slice units) {
  const std::size_t head_dim = call.keys.head_dim;
  for_each_unit(call, scratch, units, [&](const AttentionUnit& unit) {
    const std::size_t heads = unit.heads * call.group();
    for (std::size_t row = 0; row < unit.tokens * heads; ++row) {
      const std::size_t token = row / heads, head = row % heads;
      const std::size_t offset = unit.offset(call, token, 0) + head * head_dim;
      const KeyRange range = unit.range[token];
      const std::size_t kv_head = unit.kv_head + head / call.group();
      const Row one{unit.seen + range.begin, range.end - range.begin, kv_head,
                    scratch.floats,          call.query + offset,     call.y + offset};
      score(call.keys, call.scale, one);
      softmax_portable(1, one.count, one.scores, one.scores);
      scale_weights(call.values, one);
      sum_values(call.values, one);
    }
  });
}

}  // namespace lamella
