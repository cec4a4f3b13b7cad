// A fragment: attention, 16 elements of a head at a time and up to 4 query heads together, which
// share what is decoded of a key or value. Included after kernels/attention/cache_<isa>.h.

constexpr std::size_t kHeads = 4;

constexpr std::size_t bytes_of(std::size_t bits, std::size_t elements) {
  return (bits * elements + 7) / 8;
}

// Elements [first, first + width) of a row. Lanes after the last are finite, whatever they hold.
template <typename Format>
LAMELLA_INLINE Value load_row(const std::uint8_t* row, std::size_t first, std::size_t width) {
  const std::uint8_t* from = row + bytes_of(Format::kBits, first);
  if (width == kLanes) return Format::load(from);
  std::uint8_t last[bytes_of(Format::kBits, kLanes)] = {};
  std::memcpy(last, from, bytes_of(Format::kBits, width));
  return Format::load(last);
}

template <typename Format, std::size_t... kHead>
void score(const AttentionCall& call, const AttentionUnit& unit, std::size_t first,
           std::index_sequence<kHead...>) {
  const Cache& keys = call.keys;
  const std::size_t dim = keys.head_dim, whole = dim / kLanes * kLanes;
  const float* query = unit.query + first * dim;
  float* scores = unit.scores + first * unit.count;
  for (std::size_t n = 0; n < unit.count; ++n) {
    const std::size_t row = keys.row(static_cast<std::size_t>(unit.seen[n]), unit.kv_head);
    const std::uint8_t* codes = keys.row_codes(row);
    Value sums[] = {(static_cast<void>(kHead), fill(0.0f))...};
    for (std::size_t d = 0; d < whole; d += kLanes) {
      const Value key = load_row<Format>(codes, d, kLanes);
      ((sums[kHead] = fused(load(query + kHead * dim + d), key, sums[kHead])), ...);
    }
    if (whole < dim) {
      const Value key = load_row<Format>(codes, whole, dim - whole);
      ((sums[kHead] =
            fused(load_first(query + kHead * dim + whole, dim - whole), key, sums[kHead])),
       ...);
    }
    for (std::size_t head = 0; head < sizeof...(kHead); ++head) {
      const float dot = sum_of(sums[head]);
      const float scaled = Format::kBits < 16 ? dot * keys.scale[row] : dot;
      scores[head * unit.count + n] = scaled * call.scale;
    }
  }
}

template <typename Format, std::size_t... kHead>
void sum_values(const AttentionCall& call, const AttentionUnit& unit, std::size_t first,
                std::index_sequence<kHead...>) {
  const Cache& values = call.values;
  const std::size_t dim = values.head_dim, count = unit.count;
  const float* weights = unit.scores + first * count;
  float* y = unit.y + first * dim;
  for (std::size_t d = 0; d < dim; d += kLanes) {
    const std::size_t width = std::min(kLanes, dim - d);
    Value sums[] = {(static_cast<void>(kHead), fill(0.0f))...};
    for (std::size_t n = 0; n < count; ++n) {
      const std::size_t row = values.row(static_cast<std::size_t>(unit.seen[n]), unit.kv_head);
      const Value value = load_row<Format>(values.row_codes(row), d, width);
      ((sums[kHead] = fused(fill(weights[kHead * count + n]), value, sums[kHead])), ...);
    }
    (store_first(y + kHead * dim + d, sums[kHead], width), ...);
  }
}

// One of the two passes over a cache, for heads [first, first + kCount).
struct Score {
  template <typename Format, std::size_t kCount>
  static void run(const AttentionCall& call, const AttentionUnit& unit, std::size_t first) {
    score<Format>(call, unit, first, std::make_index_sequence<kCount>());
  }
};

struct SumValues {
  template <typename Format, std::size_t kCount>
  static void run(const AttentionCall& call, const AttentionUnit& unit, std::size_t first) {
    sum_values<Format>(call, unit, first, std::make_index_sequence<kCount>());
  }
};

// The last heads of a group, at most kCount.
template <typename Pass, typename Format, std::size_t kCount>
void run_rest(const AttentionCall& call, const AttentionUnit& unit, std::size_t first) {
  if constexpr (kCount > 0) {
    if (call.group() - first != kCount) {
      return run_rest<Pass, Format, kCount - 1>(call, unit, first);
    }
    Pass::template run<Format, kCount>(call, unit, first);
  }
}

template <typename Pass, typename Format>
void run_group(const AttentionCall& call, const AttentionUnit& unit) {
  std::size_t first = 0;
  for (; first + kHeads <= call.group(); first += kHeads) {
    Pass::template run<Format, kHeads>(call, unit, first);
  }
  run_rest<Pass, Format, kHeads - 1>(call, unit, first);
}

template <typename Pass>
void run_pass(CacheFormat format, const AttentionCall& call, const AttentionUnit& unit) {
  switch (format) {
    case CacheFormat::kFloat32:
      return run_group<Pass, Float32>(call, unit);
    case CacheFormat::kFloat16:
      return run_group<Pass, Float16>(call, unit);
    case CacheFormat::kInt8:
      return run_group<Pass, Int8>(call, unit);
    case CacheFormat::kInt4:
      return run_group<Pass, Int4>(call, unit);
  }
}

inline void run(const AttentionCall& call, AttentionScratch scratch, Slice units,
                SoftmaxFn softmax) {
  for_each_unit(call, scratch, units, [&](const AttentionUnit& unit) {
    run_pass<Score>(call.keys.format, call, unit);
    softmax(call.group(), unit.count, unit.scores, unit.scores);
    for (std::size_t head = 0; head < call.group(); ++head) {
      scale_weights(call.values, unit, unit.scores + head * unit.count);
    }
    run_pass<SumValues>(call.values.format, call, unit);
  });
}
