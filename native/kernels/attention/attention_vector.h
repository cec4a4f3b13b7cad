// A fragment: attention, 16 elements of a head at a time and up to 4 query heads together, which
// share what is read of a key or value. Included after kernels/attention/cache_<isa>.h, which says
// how many keys (kTileKeys) or parts of a value (kTileParts) the registers hold beside them.
#include "kernels/attention/block.h"

constexpr std::size_t kTileRows = 4;

// Calls visit(row, std::integral_constant) for tiles of kTileRows rows and for those that remain.
template <typename Visit>
LAMELLA_INLINE void each_tile(std::size_t rows, const Visit& visit) {
  std::size_t row = 0;
  for (; row + kTileRows <= rows; row += kTileRows) {
    visit(row, std::integral_constant<std::size_t, kTileRows>());
  }
  if (rows - row == 3) visit(row, std::integral_constant<std::size_t, 3>());
  if (rows - row == 2) visit(row, std::integral_constant<std::size_t, 2>());
  if (rows - row == 1) visit(row, std::integral_constant<std::size_t, 1>());
}

// Writes the tree over each of (kRows, kKeys) Values; a set may have one for a whole tile.
template <std::size_t kRows, std::size_t kKeys>
LAMELLA_INLINE void store_trees(const Value (&sums)[kRows][kKeys], float* to, std::size_t stride) {
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t k = 0; k < kKeys; ++k) to[row * stride + k] = sum_of(sums[row][k]);
  }
}

// Writes the products of kRows queries with kKeys keys to (kRows, stride) scores.
template <std::size_t kRows, std::size_t kKeys>
LAMELLA_INLINE void multiply(const float* query, std::size_t width, const float* const* keys,
                             float* scores, std::size_t stride) {
  Value sums[kRows][kKeys];
  for (auto& row : sums) {
    for (Value& sum : row) sum = fill(0.0f);
  }
  for (std::size_t d = 0; d < width; d += kLanes) {
    Value key[kKeys];
    for (std::size_t k = 0; k < kKeys; ++k) key[k] = load(keys[k] + d);
    for (std::size_t row = 0; row < kRows; ++row) {
      const Value q = load(query + row * width + d);
      for (std::size_t k = 0; k < kKeys; ++k) sums[row][k] = fused(q, key[k], sums[row][k]);
    }
  }
  store_trees(sums, scores, stride);
}

// Scores of one head of the cache, whose rows begin with `row`.
template <typename Format>
void score_block(const Rows& rows, std::size_t row, const Block& block) {
  each_tile(rows.count, [&](std::size_t tile_row, auto tile) {
    const float* query = rows.query + (row + tile_row) * rows.width;
    float* scores = rows.scores + (row + tile_row) * rows.stride + block.first;
    std::size_t n = 0;
    for (; n + kTileKeys <= block.count; n += kTileKeys) {
      multiply<tile(), kTileKeys>(query, rows.width, block.row + n, scores + n, rows.stride);
    }
    for (; n < block.count; ++n) {
      multiply<tile(), 1>(query, rows.width, block.row + n, scores + n, rows.stride);
    }
  });
  for (std::size_t i = row; i < row + rows.count; ++i) {
    float* scores = rows.scores + i * rows.stride + block.first;
    Value dots = load(scores);
    if (Format::kBits < 16) dots = mul(dots, load(block.scale));
    keep(scores, mul(dots, fill(rows.call.scale)));
  }
}

// Adds kParts parts of some values to (kRows, width) sums, with (kRows, stride) weights.
template <std::size_t kRows, std::size_t kParts>
LAMELLA_INLINE void add_parts(const float* weights, std::size_t stride, const float* const* values,
                              std::size_t count, std::size_t d, float* sums, std::size_t width) {
  Value sum[kRows][kParts];
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t i = 0; i < kParts; ++i)
      sum[row][i] = load(sums + row * width + d + i * kLanes);
  }
  for (std::size_t n = 0; n < count; ++n) {
    Value value[kParts];
    for (std::size_t i = 0; i < kParts; ++i) value[i] = load(values[n] + d + i * kLanes);
    for (std::size_t row = 0; row < kRows; ++row) {
      const Value weight = fill(weights[row * stride + n]);
      for (std::size_t i = 0; i < kParts; ++i) sum[row][i] = fused(weight, value[i], sum[row][i]);
    }
  }
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t i = 0; i < kParts; ++i) keep(sums + row * width + d + i * kLanes, sum[row][i]);
  }
}

// Adds those values of a block that are in a range, to kRows rows that all see them.
template <std::size_t kRows>
void add_range(const Rows& rows, std::size_t row, const Block& block, KeyRange range) {
  const std::size_t begin = std::max(range.begin, block.first);
  const std::size_t end = std::min(range.end, block.first + block.count);
  if (begin >= end) return;
  const float* weights = rows.scores + row * rows.stride + begin;
  const float* const* values = block.row + (begin - block.first);
  float* sums = rows.sums + row * rows.width;
  std::size_t d = 0;
  for (; d + kTileParts * kLanes <= rows.width; d += kTileParts * kLanes) {
    add_parts<kRows, kTileParts>(weights, rows.stride, values, end - begin, d, sums, rows.width);
  }
  for (; d < rows.width; d += kLanes) {
    add_parts<kRows, 1>(weights, rows.stride, values, end - begin, d, sums, rows.width);
  }
}

// Adds a block to kRows rows: what all of them see together, the rest one by one.
template <std::size_t kRows>
void add_block(const Rows& rows, std::size_t row, const Block& block) {
  KeyRange common = {block.first, block.first + block.count};
  for (std::size_t i = row; i < row + kRows; ++i) {
    common.begin = std::max(common.begin, rows.range(i).begin);
    common.end = std::min(common.end, rows.range(i).end);
  }
  if (common.end - common.begin == block.count) return add_range<kRows>(rows, row, block, common);
  common.end = std::max(common.begin, common.end);
  for (std::size_t i = row; i < row + kRows; ++i) {
    add_range<1>(rows, i, block, {rows.range(i).begin, std::min(rows.range(i).end, common.begin)});
  }
  add_range<kRows>(rows, row, block, common);
  for (std::size_t i = row; i < row + kRows; ++i) {
    add_range<1>(rows, i, block, {std::max(rows.range(i).begin, common.end), rows.range(i).end});
  }
}

// Sums of one head of the cache, whose rows begin with `row`.
template <typename Format>
void sum_block(const Rows& rows, std::size_t row, const Block& block) {
  for (std::size_t i = row; Format::kBits < 16 && i < row + rows.count; ++i) {
    float* weights = rows.scores + i * rows.stride + block.first;
    keep(weights, mul(load(weights), load(block.scale)));
  }
  each_tile(rows.count, [&](std::size_t tile_row, auto tile) {
    add_block<tile()>(rows, row + tile_row, block);
  });
}

// Calls visit(format) with the type of a format.
template <typename Visit>
void with_format(CacheFormat format, const Visit& visit) {
  switch (format) {
    case CacheFormat::kFloat32:
      return visit(Float32());
    case CacheFormat::kFloat16:
      return visit(Float16());
    case CacheFormat::kInt8:
      return visit(Int8());
    case CacheFormat::kInt4:
      return visit(Int4());
  }
}

// Where a row is in query and y.
inline std::size_t offset_of(const Rows& rows, std::size_t row) {
  const std::size_t group = rows.call.group(), dim = rows.call.keys.head_dim;
  const std::size_t head = row / rows.count, token = row % rows.count / group;
  return rows.unit.offset(rows.call, token, head) + row % group * dim;
}

inline void load_queries(const Rows& rows) {
  std::fill(rows.query, rows.decoded, 0.0f);  // and the sums behind them
  for (std::size_t row = 0; row < rows.all(); ++row) {
    std::copy_n(rows.call.query + offset_of(rows, row), rows.call.keys.head_dim,
                rows.query + row * rows.width);
  }
}

inline void store_sums(const Rows& rows) {
  const std::size_t dim = rows.call.keys.head_dim;
  for (std::size_t row = 0; row < rows.all(); ++row) {
    float* sums = rows.sums + row * rows.width;
    for (std::size_t d = 0; d < dim; d += kLanes) store(sums + d, load(sums + d));
    std::copy_n(sums, dim, rows.call.y + offset_of(rows, row));
  }
}

inline void run(const AttentionCall& call, AttentionScratch scratch, Slice units,
                SoftmaxFn softmax) {
  for_each_unit(call, scratch, units, [&](const AttentionUnit& unit) {
    const Rows rows(call, unit, scratch.floats);
    load_queries(rows);
    with_format(call.keys.format, [&](auto format) {
      using Format = decltype(format);
      each_block<Format>(call.keys, rows, [&](std::size_t row, const Block& block) {
        score_block<Format>(rows, row, block);
      });
    });
    for (std::size_t row = 0; row < rows.all(); ++row) {
      const KeyRange range = rows.range(row);
      float* scores = rows.scores + row * rows.stride + range.begin;
      softmax(1, range.end - range.begin, scores, scores);
    }
    with_format(call.values.format, [&](auto format) {
      using Format = decltype(format);
      each_block<Format>(call.values, rows, [&](std::size_t row, const Block& block) {
        sum_block<Format>(rows, row, block);
      });
    });
    store_sums(rows);
  });
}
