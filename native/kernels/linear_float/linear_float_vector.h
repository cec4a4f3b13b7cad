// A fragment: linear_float on the registers of an instruction set. Included after
// kernels/math/value_<isa>.h and kernels/linear_float/rows_<isa>.h.
#include "kernels/linear_float/panel.h"
#include "kernels/math/activate.h"
#include "kernels/math/some.h"

// Weights that are codes in tiles: a vector of a tile has 32 / kBits columns.
template <int kWidth>
struct Coded {
  static constexpr std::size_t kBits = kWidth;
  static constexpr std::size_t kRun = 32 / kBits;

  // Of a column that is the first of a block.
  static const std::uint8_t* place(const FloatWeight& weight, std::size_t strip, std::size_t col) {
    return weight.codes->tile(strip, col / kBlockCols);
  }

  LAMELLA_INLINE Coded(const FloatWeight& weight, Slice strips, std::size_t first)
      : from(*weight.codes) {
    for (std::size_t i = 0; i < kWide; ++i) strip[i] = strip_in(strips, first + i);
  }

  LAMELLA_INLINE void enter(std::size_t col) {
    std::size_t grids[kWide];
    for (std::size_t i = 0; i < kWide; ++i) {
      at[i] = from.tile(strip[i], col / kBlockCols);
      grids[i] = from.grid_of_col(strip[i], col);
    }
    scale = load_scale(from, grids);
    zero = load_zero<kWidth>(from, grids);
  }

  LAMELLA_INLINE void load(std::size_t col) {
    codes = load_codes(at, col % kBlockCols / kRun * kVectorBytes);
  }

  template <std::size_t kColumn>
  LAMELLA_INLINE Rows column() const {
    return decode<kWidth, 8 * (kColumn % 4) + kWidth*(kColumn / 4)>(codes, zero, scale);
  }

  const LinearWeight& from;
  std::size_t strip[kWide];
  const std::uint8_t* at[kWide];
  Codes codes;
  Rows scale;
  Codes zero;
};

// Writes those of 16 sums whose rows are below `end`.
inline void finish(const LinearFloatCall& call, std::size_t token, Slice rows, const float* sums) {
  if (rows.begin >= rows.end) return;
  const std::size_t count = std::min(rows.end - rows.begin, kLanes);
  Value value = load(sums);
  if (call.bias != nullptr) value = add(value, load_some(call.bias + rows.begin, count));
  float* y = call.y + token * call.weight.rows + rows.begin;
  store_some(y, activate(call.activation, value), count);
}

// All strips of a slice for kCount tokens, as many side by side as lanes_of says.
template <typename Source, std::size_t kCount>
void run_tokens(const LinearFloatCall& call, Slice strips, std::size_t token) {
  const std::size_t cols = call.weight.cols;
  const std::size_t rows = std::min(strips.end * kStripRows, call.weight.rows);
  const float* x = call.x + token * cols;
  const std::size_t width = width_of(call.weight);
  for (; strips.begin < strips.end; strips.begin += lanes_of(kCount) * kWide) {
    PartOf<Source, kCount> part(call.weight, strips, cols);
    for (std::size_t begin = 0; begin < cols; begin += width) {
      part.enter(begin);
      part.add(x + begin, {begin, std::min(begin + width, cols)});
    }
    part.write([&](std::size_t i, std::size_t row, const float* sums) {
      finish(call, token + i, {strips.begin * kStripRows + row, rows}, sums);
    });
  }
}

// All strips of a slice for many tokens, whose weights are unpacked once.
template <typename Source>
void run_chunk(const LinearFloatCall& call, Slice strips, Slice tokens) {
  const std::size_t cols = call.weight.cols, count = tokens.end - tokens.begin;
  const std::size_t rows = std::min(strips.end * kStripRows, call.weight.rows);
  const float* x = call.x + tokens.begin * cols;
  Panel panel;
  for (std::size_t i = 0; i < count; ++i) {
    panel.inputs[i] = i * cols;
    panel.outputs[i] = i * call.weight.rows;
  }
  for (; strips.begin < strips.end; strips.begin += kAcross * kWide) {
    const float* y = call.y + tokens.begin * call.weight.rows + strips.begin * kStripRows;
    for (std::size_t col = 0; col < cols; col += kBlock) {
      const Slice block{col, std::min(col + kBlock, cols)};
      unpack<Source>(call.weight, strips, block, panel);
      add_product({panel.columns, block.end - col, x, col, col == 0,
                   block.end == cols ? y : nullptr, ahead_of<Source>(call.weight, strips, block)},
                  panel, strips, {0, count});
    }
    write_sums(panel, strips, count, [&](std::size_t i, std::size_t row, const float* sums) {
      finish(call, tokens.begin + i, {row, rows}, sums);
    });
  }
}

// Few tokens take columns as they are unpacked.
template <typename Source>
void run_few(const LinearFloatCall& call, Slice strips) {
  constexpr std::size_t kSpan = kMostLanes * kWide;
  for (std::size_t strip = strips.begin; strip < strips.end; strip += kSpan) {
    const Slice part{strip, std::min(strip + kSpan, strips.end)};
    for_each_run({0, call.tokens}, [&](std::size_t token, auto count) {
      run_tokens<Source, decltype(count)::value>(call, part, token);
    });
  }
}

template <typename Source>
void run(const LinearFloatCall& call, Slice strips) {
  if (call.tokens <= kTokens || call.weight.cols == 0) return run_few<Source>(call, strips);
  const std::size_t chunks = (call.tokens + kChunk - 1) / kChunk;
  for (std::size_t i = 0; i < chunks; ++i) {
    run_chunk<Source>(call, strips, slice_of(call.tokens, chunks, i));
  }
}
