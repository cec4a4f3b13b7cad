// A fragment: layernorm, 16 columns at a time. Included after kernels/math/value_<isa>.h.

inline float joined(Value sum) {
  float lanes[kLanes];
  spill(lanes, sum);
  return tree_sum(lanes);
}

inline float sum(std::size_t cols, const float* x) {
  Value sum = fill(0.0f);
  std::size_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) sum = add(sum, load(x + col));
  if (col < cols) sum = add(sum, load_first(x + col, cols - col));
  return joined(sum);
}

inline float sum_of_squares(std::size_t cols, const float* x, Value mean) {
  Value sum = fill(0.0f);
  std::size_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) {
    const Value difference = sub(load(x + col), mean);
    sum = fused(difference, difference, sum);
  }
  if (col < cols) {
    const Value last = sub(load_first(x + col, cols - col), mean);
    const Value difference = first_of(last, cols - col, fill(0.0f));
    sum = fused(difference, difference, sum);
  }
  return joined(sum);
}

struct Line {
  Value mean, scale;
};

inline void write_row(std::size_t cols, const float* x, Line line, LayernormParameters parameters,
                      float* y) {
  std::size_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) {
    const Value unit = mul(sub(load(x + col), line.mean), line.scale);
    store(y + col, fused(unit, load(parameters.weight + col), load(parameters.bias + col)));
  }
  if (col == cols) return;
  const std::size_t rest = cols - col;
  const Value unit = mul(sub(load_first(x + col, rest), line.mean), line.scale);
  const Value weight = load_first(parameters.weight + col, rest);
  store_first(y + col, fused(unit, weight, load_first(parameters.bias + col, rest)), rest);
}

inline void run(std::size_t rows, std::size_t cols, const float* x, LayernormParameters parameters,
                float* y) {
  const auto count = static_cast<float>(cols);
  for (std::size_t row = 0; row < rows; ++row, x += cols, y += cols) {
    const Value mean = fill(sum(cols, x) / count);
    const float variance = sum_of_squares(cols, x, mean) / count;
    const float scale = 1.0f / std::sqrt(variance + parameters.eps);
    write_row(cols, x, {mean, fill(scale)}, parameters, y);
  }
}
