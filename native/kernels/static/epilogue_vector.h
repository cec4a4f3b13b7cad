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

template <int kLowered, bool kActive>
inline void finish_position(const Epilogue& epilogue, const Part& part, std::size_t position,
                            const std::int32_t* sums, const Finished& to) {
  for (std::size_t i = 0; i < part.rows; i += kWidth) {
    const std::size_t rows = part.rows - i < kWidth ? part.rows - i : kWidth;
    const std::size_t row = part.at + i;
    const std::size_t index = part.index + position * part.stride + i;
    Value t = fused(exact_sums<kLowered>(epilogue, row, sums + i), load(epilogue.step + row),
                    load(epilogue.bias + row));
    if (to.residual != nullptr) {
      const Block codes = load_codes(to.residual + index, rows);
      t = fused(reals_of(codes, epilogue.residual_zero), fill(epilogue.residual_step), t);
    }
    if constexpr (kActive) t = mul(activate(epilogue.activation, t), fill(epilogue.unit));
    t = lesser_of(fill(epilogue.high), greater_of(fill(epilogue.low), t));
    if (epilogue.codes) {
      store_codes(static_cast<std::uint8_t*>(to.y) + index, codes_of(t, epilogue.zero), rows);
    } else {
      store_rows(static_cast<float*>(to.y) + index, t, rows);
    }
  }
}

// The calls of activations cost registers even where there is none, hence two loops.
template <int kLowered>
inline void finish(const Epilogue& epilogue, const Part& part, const std::int32_t* sums,
                   const Finished& to) {
  const bool active = epilogue.activation != Activation::kNone;
  for (std::size_t i = 0; !active && i < part.positions; ++i) {
    finish_position<kLowered, false>(epilogue, part, i, sums + i * kEpilogueRows, to);
  }
  for (std::size_t i = 0; active && i < part.positions; ++i) {
    finish_position<kLowered, true>(epilogue, part, i, sums + i * kEpilogueRows, to);
  }
}
