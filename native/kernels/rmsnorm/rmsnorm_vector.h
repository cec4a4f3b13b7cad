// A fragment: rmsnorm, 16 columns at a time. Included after kernels/math/value_<isa>.h.

inline float sum_of_squares(std::size_t cols, const float* x) {
  Value sum = fill(0.0f);
  std::size_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) {
    const Value each = load(x + col);
    sum = fused(each, each, sum);
  }
  if (col < cols) {
    const Value each = load_first(x + col, cols - col);
    sum = fused(each, each, sum);
  }
  float lanes[kLanes];
  spill(lanes, sum);
  return tree_sum(lanes);
}

inline void scale_row(std::size_t cols, const float* x, float scale, const float* weight,
                      float* y) {
  const Value factor = fill(scale);
  std::size_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) {
    store(y + col, mul(mul(load(x + col), factor), load(weight + col)));
  }
  if (col == cols) return;
  const std::size_t rest = cols - col;
  const Value scaled = mul(load_first(x + col, rest), factor);
  store_first(y + col, mul(scaled, load_first(weight + col, rest)), rest);
}

inline void run(std::size_t rows, std::size_t cols, const float* x, RmsnormParameters parameters,
                float* y) {
  for (std::size_t row = 0; row < rows; ++row, x += cols, y += cols) {
    const float mean = sum_of_squares(cols, x) / static_cast<float>(cols);
    const float scale = 1.0f / std::sqrt(mean + parameters.eps);
    scale_row(cols, x, scale, parameters.weight, y);
  }
}
