// A fragment: sums of columns of weights times inputs, some strips and some tokens at a time.
// Included after kernels/linear_float/rows_<isa>.h.

constexpr std::size_t kTokens = 6;  // the most tokens that share a column of weights

// A strip has one sum per output, whose additions wait for each other: few tokens take more strips.
constexpr std::size_t kMostLanes = 4;

constexpr std::size_t lanes_of(std::size_t tokens) {
  return kMostLanes * tokens <= kSums ? kMostLanes : 2;
}

// Strip number `wanted`, or the last of a range: what belongs to no strip is computed twice.
inline std::size_t strip_in(Slice strips, std::size_t wanted) {
  return std::min(wanted, strips.end - 1);
}

// Columns of a weight that share a scale.
inline std::size_t width_of(const FloatWeight& weight) {
  return weight.codes != nullptr && weight.codes->halved() ? kBlockCols / 2 : kBlockCols;
}

// Weights that are floats: a source of columns of kWide strips.
template <typename Item>
struct Plain {
  static constexpr std::size_t kRun = 2;  // columns between two calls of load

  static constexpr std::size_t kBits = 8 * sizeof(Item);

  static const Item* place(const FloatWeight& weight, std::size_t strip, std::size_t col) {
    const Item* items = nullptr;
    if constexpr (std::is_same_v<Item, float>) {
      items = weight.floats;
    } else {
      items = weight.halves;
    }
    return items + (strip * weight.cols + col) * kStripRows;
  }

  LAMELLA_INLINE Plain(const FloatWeight& weight, Slice strips, std::size_t first) {
    for (std::size_t i = 0; i < kWide; ++i) at[i] = place(weight, strip_in(strips, first + i), 0);
  }

  LAMELLA_INLINE void enter(std::size_t) {}
  LAMELLA_INLINE void load(std::size_t col) { offset = col * kStripRows; }

  template <std::size_t kColumn>
  LAMELLA_INLINE Rows column() const {
    return load_rows(at, offset + kColumn * kStripRows);
  }

  const Item* at[kWide];
  std::size_t offset = 0;
};

// Lanes, each kWide strips, of some tokens. Every index is a constant, so that sums stay in
// registers.
template <typename Source, typename Lanes, typename Tokens>
struct Part;

template <typename Source, std::size_t... kLane, std::size_t... kToken>
struct Part<Source, std::index_sequence<kLane...>, std::index_sequence<kToken...>> {
  static constexpr std::size_t kAcross = sizeof...(kLane);
  static constexpr std::size_t kRows = kWide * kStripRows;

  // The inputs of neighbouring tokens are `step` floats apart.
  LAMELLA_INLINE Part(const FloatWeight& weight, Slice strips, std::size_t step)
      : step(step), lanes{Source(weight, strips, strips.begin + kLane * kWide)...} {
    (clear(sums[kToken]), ...);
  }

  // Prepares the columns from `col` on that share a scale.
  LAMELLA_INLINE void enter(std::size_t col) { (lanes[kLane].enter(col), ...); }

  // Adds some columns, the first a multiple of Source::kRun. `x` is the input of the first one.
  LAMELLA_INLINE void add(const float* x, Slice cols) {
    constexpr auto kColumns = std::make_index_sequence<Source::kRun>();
    std::size_t col = cols.begin;
    for (; col + Source::kRun <= cols.end; col += Source::kRun, x += Source::kRun) {
      (lanes[kLane].load(col), ...);
      add_run(x, Source::kRun, kColumns);
    }
    if (col == cols.end) return;
    (lanes[kLane].load(col), ...);
    add_run(x, cols.end - col, kColumns);
  }

  template <std::size_t... kColumn>
  LAMELLA_INLINE void add_run(const float* x, std::size_t count, std::index_sequence<kColumn...>) {
    ((kColumn < count ? add_column<kColumn>(x) : void()), ...);
  }

  template <std::size_t kColumn>
  LAMELLA_INLINE void add_column(const float* x) {
    const Rows weights[] = {lanes[kLane].template column<kColumn>()...};
    (add_token(sums[kToken], weights, x[kToken * step + kColumn]), ...);
  }

  LAMELLA_INLINE static void add_token(Rows* sums, const Rows* weights, float value) {
    ((sums[kLane] = fused(weights[kLane], value, sums[kLane])), ...);
  }

  LAMELLA_INLINE static void clear(Rows* sums) { ((sums[kLane] = zero_rows()), ...); }

  // Calls write(token, first row, 16 sums) for each token and each 16 rows.
  template <typename Write>
  LAMELLA_INLINE void write(const Write& write) const {
    (write_token(kToken, sums[kToken], write), ...);
  }

  template <typename Write>
  LAMELLA_INLINE static void write_token(std::size_t token, const Rows* sums, const Write& write) {
    float spilled[kAcross * kRows];
    (store_rows(spilled + kLane * kRows, sums[kLane]), ...);
    for (std::size_t i = 0; i < kAcross * kRows; i += kLanes) write(token, i, spilled + i);
  }

  std::size_t step;
  Source lanes[kAcross];
  Rows sums[sizeof...(kToken)][kAcross];
};

template <std::size_t kNumber>
using Constant = std::integral_constant<std::size_t, kNumber>;

template <typename Source, std::size_t kCount>
using PartOf =
    Part<Source, std::make_index_sequence<lanes_of(kCount)>, std::make_index_sequence<kCount>>;

// Calls body(first, count) for runs of up to kTokens of the tokens of a slice; `count` is a
// constant.
template <typename Body>
void for_each_run(Slice tokens, const Body& body) {
  std::size_t at = tokens.begin;
  for (; at + kTokens <= tokens.end; at += kTokens) body(at, Constant<kTokens>());
  for (; at + kTokens / 2 <= tokens.end; at += kTokens / 2) body(at, Constant<kTokens / 2>());
  for (; at < tokens.end; ++at) body(at, Constant<1>());
}
