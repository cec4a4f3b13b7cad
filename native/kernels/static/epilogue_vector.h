// A fragment: the epilogue of kernels/static/epilogue.h for up to 16 rows of some positions.
// Included after kernels/math/value_<isa>.h and kernels/static/lanes_<isa>.h.
#include "kernels/math/activate.h"

// Sums to finish: those of a position are kEpilogueRows after those of the one before.
struct Part {
  std::size_t at;      // the first row in the parameters
  std::size_t rows;    // how many of the 16 sums of a position are written
  std::size_t index;   // of the first output
  std::size_t stride;  // from the outputs of one position to those of the next
  std::size_t positions;
};

// Finishes the rows from `i` on, as many as a Value has, of all positions. What belongs to rows is
// read once.
template <int kLowered, bool kActive>
inline void finish_rows(const Epilogue& epilogue, const Part& part, std::size_t i,
                        const std::int32_t* sums, const Finished& to) {
  const std::size_t rows = part.rows - i < kWidth ? part.rows - i : kWidth;
  const std::size_t row = part.at + i;
  const auto offsets = offsets_of<kLowered>(epilogue, row);
  const Value step = load(epilogue.step + row), bias = load(epilogue.bias + row);
  // Copies, because a store of bytes could change what a reference refers to.
  const Value low = fill(epilogue.low), high = fill(epilogue.high);
  const std::int32_t zero = epilogue.zero;
  const bool as_codes = epilogue.codes;
  const Finished all = to;
  for (std::size_t position = 0; position < part.positions; ++position) {
    const std::size_t index = part.index + position * part.stride + i;
    Value t = fused(exact_sums(offsets, sums + position * kEpilogueRows + i), step, bias);
    if (all.residual != nullptr) {
      const Block codes = load_codes(all.residual + index, rows);
      t = fused(reals_of(codes, epilogue.residual_zero), fill(epilogue.residual_step), t);
    }
    if constexpr (kActive) t = mul(activate(epilogue.activation, t), fill(epilogue.unit));
    t = lesser_of(high, greater_of(low, t));
    if (as_codes) {
      store_codes(static_cast<std::uint8_t*>(all.y) + index, codes_of(t, zero), rows);
    } else {
      store_rows(static_cast<float*>(all.y) + index, t, rows);
    }
  }
}

// The calls of activations cost registers even where there is none, hence two loops.
template <int kLowered>
inline void finish(const Epilogue& epilogue, const Part& part, const std::int32_t* sums,
                   const Finished& to) {
  const bool active = epilogue.activation != Activation::kNone;
  for (std::size_t i = 0; !active && i < part.rows; i += kWidth) {
    finish_rows<kLowered, false>(epilogue, part, i, sums, to);
  }
  for (std::size_t i = 0; active && i < part.rows; i += kWidth) {
    finish_rows<kLowered, true>(epilogue, part, i, sums, to);
  }
}
