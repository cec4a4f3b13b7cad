// A fragment: sums of columns of weights times the inputs of many tokens, some strips at a time.
// Included after kernels/linear_float/rows_<isa>.h.
//
// The columns of some strips are written out side by side as floats, once for a chunk of tokens.
// Beside them lie the sums of the chunk, so that a panel needs no more columns than a cache holds.
#include "kernels/linear_float/part.h"

constexpr std::size_t kBlock = 128;  // columns of a panel
constexpr std::size_t kChunk = 112;  // tokens whose sums are kept at a time
constexpr std::size_t kAcross = 2;   // Rows side by side
constexpr std::size_t kRows = kWide * kStripRows;
constexpr std::size_t kStep = kAcross * kRows;  // floats of a column

struct Panel {
  alignas(64) float columns[kBlock * kStep];
  alignas(64) float sums[kChunk * kStep];
  std::size_t inputs[kChunk];   // where those of a token begin
  std::size_t outputs[kChunk];  // the same
};

// What is read later and asked for on the way: inputs, so many floats behind those of the product,
// and weights, so many lines of each strip for as many columns as a line has floats.
struct Ahead {
  std::size_t inputs;
  std::uintptr_t weights;
  std::size_t strip;  // bytes from one strip to the next
  std::size_t lines;
};

// Columns of a panel, and the inputs that belong to them.
struct Product {
  const float* columns;
  std::size_t count;
  const float* x;
  std::size_t shift;  // is added to where inputs begin
  bool fresh;         // nothing has been added to these sums
  const float* y;     // the first output where this is the last product, or null
  Ahead ahead;
};

// Adds a product to the sums of some tokens. Every index is a constant, so that sums stay in
// registers.
template <typename Lanes, typename Tokens>
struct Tile;

template <std::size_t... kLane, std::size_t... kToken>
struct Tile<std::index_sequence<kLane...>, std::index_sequence<kToken...>> {
  using Sums = Rows[sizeof...(kLane)];

  static void run(const Product& product, Panel& panel, std::size_t token) {
    const std::size_t* begin = panel.inputs + token;
    float* kept = panel.sums + token * kStep;
    std::uintptr_t next = product.ahead.weights;
    const float* x[] = {product.x + (begin[kToken] + product.shift)...};
    Sums sums[sizeof...(kToken)];
    if (product.y != nullptr) (prefetch_outputs(product.y, panel.outputs[token + kToken]), ...);
    (load(sums[kToken], kept + kToken * kStep, product.fresh), ...);
    for (std::size_t i = 0; i < product.count;) {
      (prefetch(x[kToken], product.ahead.inputs + i), ...);
      for (std::size_t k = 0; k < product.ahead.lines; ++k, next += kLineFloats * sizeof(float)) {
        prefetch(next);
      }
      const std::size_t end = std::min(i + kLineFloats, product.count);
      for (; i < end; ++i) {
        const Rows weights[] = {load_plain(product.columns + i * kStep + kLane * kRows)...};
        (add(sums[kToken], weights, x[kToken][i]), ...);
      }
    }
    (keep(kept + kToken * kStep, sums[kToken]), ...);
  }

  LAMELLA_INLINE static void prefetch_outputs(const float* y, std::size_t begin) {
    (prefetch(y, begin + kLane * kRows), ...);
  }

  LAMELLA_INLINE static void load(Sums& sums, const float* kept, bool fresh) {
    ((sums[kLane] = fresh ? zero_rows() : load_plain(kept + kLane * kRows)), ...);
  }

  LAMELLA_INLINE static void add(Sums& sums, const Rows* weights, float x) {
    ((sums[kLane] = fused(weights[kLane], x, sums[kLane])), ...);
  }

  LAMELLA_INLINE static void keep(float* kept, const Sums& sums) {
    (store_rows(kept + kLane * kRows, sums[kLane]), ...);
  }
};

using RunTile = void (*)(const Product& product, Panel& panel, std::size_t token);

// Adds a product to the sums of some tokens, in tiles of about the same size.
template <std::size_t kUsed, std::size_t... kToken>
void add_tiles(Product product, Panel& panel, Slice tokens, std::index_sequence<kToken...>) {
  using Lanes = std::make_index_sequence<kUsed>;
  static constexpr RunTile kRuns[] = {&Tile<Lanes, std::make_index_sequence<kToken + 1>>::run...};
  const std::size_t count = tokens.end - tokens.begin;
  const std::size_t tiles = (count + kTile - 1) / kTile;
  for (std::size_t i = 0; i < tiles; ++i) {
    const Slice part = slice_of(count, tiles, i);
    kRuns[part.end - part.begin - 1](product, panel, tokens.begin + part.begin);
    // The next tile asks for the weights of the next strip.
    product.ahead.weights += product.ahead.strip;
    if (i + 1 == kUsed * kWide) product.ahead.lines = 0;
  }
}

// The same for the strips that `unpack` was given.
inline void add_product(const Product& product, Panel& panel, Slice strips, Slice tokens) {
  constexpr auto kTokensOfTile = std::make_index_sequence<kTile>();
  if (strips.end - strips.begin > kWide) {
    add_tiles<kAcross>(product, panel, tokens, kTokensOfTile);
  } else {
    add_tiles<1>(product, panel, tokens, kTokensOfTile);
  }
}

template <typename Source, std::size_t... kColumn>
void unpack_rows(const FloatWeight& weight, Slice strips, Slice cols, float* to,
                 std::index_sequence<kColumn...>) {
  Source source(weight, strips, strips.begin);
  const std::size_t width = width_of(weight);
  while (cols.begin < cols.end) {
    source.enter(cols.begin);
    const std::size_t end = std::min(cols.begin + width, cols.end);
    for (; cols.begin < end; cols.begin += Source::kRun, to += Source::kRun * kStep) {
      source.load(cols.begin);
      const std::size_t count = end - cols.begin;
      ((kColumn < count ? store_rows(to + kColumn * kStep, source.template column<kColumn>())
                        : void()),
       ...);
    }
    cols.begin = end;
  }
}

// The block that follows one, or the first of the strips after those that a panel has.
template <typename Source>
Ahead ahead_of(const FloatWeight& weight, Slice strips, Slice block) {
  const bool last = block.end == weight.cols;
  const std::size_t next = strips.begin + (last ? kAcross * kWide : 0);
  if (next >= strips.end) return {0, 0, 0, 0};
  const auto at = [&](std::size_t strip) {
    return reinterpret_cast<std::uintptr_t>(Source::place(weight, strip, last ? 0 : block.end));
  };
  return {0, at(next), at(next + 1) - at(next), Source::kBits * kStripRows / 32};
}

// Writes columns of the first strips of a slice, as many as a panel has, as floats.
template <typename Source>
void unpack(const FloatWeight& weight, Slice strips, Slice cols, Panel& panel) {
  constexpr auto kColumns = std::make_index_sequence<Source::kRun>();
  for (std::size_t i = 0; i < kAcross && strips.begin < strips.end; ++i, strips.begin += kWide) {
    unpack_rows<Source>(weight, strips, cols, panel.columns + i * kRows, kColumns);
  }
}

// Calls write(token, row, 16 sums) for every 16 rows of some strips and each of `count` tokens.
template <typename Write>
void write_sums(const Panel& panel, Slice strips, std::size_t count, const Write& write) {
  const std::size_t rows = std::min((strips.end - strips.begin) * kStripRows, kStep);
  for (std::size_t token = 0; token < count; ++token) {
    for (std::size_t row = 0; row < rows; row += kLanes) {
      write(token, strips.begin * kStripRows + row, panel.sums + token * kStep + row);
    }
  }
}
