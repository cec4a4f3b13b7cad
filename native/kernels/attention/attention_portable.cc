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

void score(const AttentionCall& call, const AttentionUnit& unit, const float* query,
           float* scores) {
  const Cache& keys = call.keys;
  for (std::size_t n = 0; n < unit.count; ++n) {
    const std::size_t row = keys.row(static_cast<std::size_t>(unit.seen[n]), unit.kv_head);
    const std::uint8_t* codes = keys.row_codes(row);
    float lanes[kLanes] = {};
    for (std::size_t d = 0; d < keys.head_dim; ++d) {
      float& lane = lanes[d % kLanes];
      lane = fused(query[d], decoded(keys.format, codes, d), lane);
    }
    const float dot = tree_sum(lanes);
    scores[n] = (keys.scale == nullptr ? dot : dot * keys.scale[row]) * call.scale;
  }
}

void sum_values(const Cache& values, const AttentionUnit& unit, const float* weights, float* y) {
  for (std::size_t d = 0; d < values.head_dim; ++d) {
    float sum = 0;
    for (std::size_t n = 0; n < unit.count; ++n) {
      const std::size_t row = values.row(static_cast<std::size_t>(unit.seen[n]), unit.kv_head);
      sum = fused(weights[n], decoded(values.format, values.row_codes(row), d), sum);
    }
    store(y + d, sum);
  }
}

}  // namespace

void attention_portable(const AttentionCall& call, AttentionScratch scratch, Slice units) {
  const std::size_t head_dim = call.keys.head_dim;
  for_each_unit(call, scratch, units, [&](const AttentionUnit& unit) {
    for (std::size_t head = 0; head < call.group(); ++head) {
      float* scores = unit.scores + head * unit.count;
      score(call, unit, unit.query + head * head_dim, scores);
      softmax_portable(1, unit.count, scores, scores);
      scale_weights(call.values, unit, scores);
      sum_values(call.values, unit, scores, unit.y + head * head_dim);
    }
  });
}

}  // namespace lamella
