// A fragment: the rows of a unit, and keys or values as float32 for all of them. Included after
// kernels/attention/cache_<isa>.h.
//
// Queries, sums and what is decoded have zeros after the last element of a head, up to 16.

constexpr std::size_t bytes_of(std::size_t bits, std::size_t elements) {
  return (bits * elements + 7) / 8;
}

// The rows of a unit, one for each query head of a token, and their scratch. Row r of head h of the
// caches is row h * count + r. Shapes: scores (heads * count, stride), query and sums
// (heads * count, width), decoded (kLanes, width).
struct Rows {
  Rows(const AttentionCall& one_call, const AttentionUnit& one_unit, float* floats)
      : call(one_call),
        unit(one_unit),
        count(unit.tokens * call.group()),
        width(AttentionCall::whole_lanes(call.keys.head_dim)),
        stride(AttentionCall::whole_lanes(call.positions)),
        scores(floats),
        query(scores + all() * stride),
        sums(query + all() * width),
        decoded(sums + all() * width) {
    for (std::size_t row = 0; row < std::min(count, AttentionCall::kRows); ++row) {
      ranges[row] = unit.range[row / call.group()];
    }
  }

  std::size_t all() const { return unit.heads * count; }

  // Of a row of any head; more rows than kRows are of one token.
  const KeyRange& range(std::size_t row) const { return ranges[unit.tokens == 1 ? 0 : row]; }

  const AttentionCall& call;
  const AttentionUnit& unit;
  std::size_t count;
  std::size_t width;
  std::size_t stride;
  float* scores;
  float* query;
  float* sums;
  float* decoded;
  KeyRange ranges[AttentionCall::kRows];
};

// Up to kLanes keys or values as float32, and their scales.
struct Block {
  std::size_t first;
  std::size_t count;
  const float* row[kLanes];
  float scale[kLanes] = {};
};

template <typename Format>
void decode(const std::uint8_t* codes, std::size_t head_dim, float* to) {
  const std::size_t whole = head_dim / kLanes * kLanes;
  for (std::size_t d = 0; d < whole; d += kLanes) {
    keep(to + d, Format::load(codes + bytes_of(Format::kBits, d)));
  }
  if (whole == head_dim) return;
  std::uint8_t last[bytes_of(Format::kBits, kLanes)] = {};
  std::memcpy(last, codes + bytes_of(Format::kBits, whole),
              bytes_of(Format::kBits, head_dim - whole));
  keep(to + whole, Format::load(last));
}

template <typename Format>
Block load_block(const Cache& cache, const Rows& rows, std::size_t head, std::size_t first) {
  Block block;
  block.first = first;
  block.count = std::min(kLanes, rows.unit.count - first);
  for (std::size_t n = 0; n < block.count; ++n) {
    const auto place = static_cast<std::size_t>(rows.unit.seen[first + n]);
    const std::size_t row = cache.row(place, head);
    if (Format::kBits < 16) block.scale[n] = cache.scale[row];
    if (Format::kBits == 32 && rows.width == cache.head_dim) {
      block.row[n] = reinterpret_cast<const float*>(cache.row_codes(row));
    } else {
      float* to = rows.decoded + n * rows.width;
      decode<Format>(cache.row_codes(row), cache.head_dim, to);
      block.row[n] = to;
    }
  }
  return block;
}

// Asks for the codes that load_block will read, into the second cache: the first has no room.
inline void prefetch_block(const Cache& cache, const Rows& rows, std::size_t bytes,
                           std::size_t head, std::size_t first) {
  constexpr std::size_t kLine = 64;
  constexpr int kSecondCache = 2;  // as __builtin_prefetch numbers caches
  const std::size_t count = std::min(kLanes, rows.unit.count - first);
  for (std::size_t n = 0; n < count; ++n) {
    const auto place = static_cast<std::size_t>(rows.unit.seen[first + n]);
    const std::uint8_t* codes = cache.row_codes(cache.row(place, head));
    for (std::size_t byte = 0; byte < bytes; byte += kLine) {
      __builtin_prefetch(codes + byte, 0, kSecondCache);
    }
  }
}

// Calls visit(row, block) for the blocks of a cache: each for all heads of the unit, as they lie in
// memory. While one is computed with for a single token, that of the next positions is on its way:
// the processor guesses the rows of float32 by itself, but not shorter ones.
template <typename Format, typename Visit>
LAMELLA_INLINE void each_block(const Cache& cache, const Rows& rows, const Visit& visit) {
  const std::size_t bytes = bytes_of(Format::kBits, cache.head_dim);
  const bool ahead = Format::kBits < 32 && rows.unit.tokens == 1;
  for (std::size_t first = 0; first < rows.unit.count; first += kLanes) {
    for (std::size_t head = 0; head < rows.unit.heads; ++head) {
      const std::size_t kv_head = rows.unit.kv_head + head;
      const Block block = load_block<Format>(cache, rows, kv_head, first);
      if (ahead && first + kLanes < rows.unit.count) {
        prefetch_block(cache, rows, bytes, kv_head, first + kLanes);
      }
      visit(head * rows.count, block);
    }
  }
}
