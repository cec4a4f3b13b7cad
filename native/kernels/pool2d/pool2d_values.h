// A fragment: pool2d, kPooled channels at a time. Included after kernels/math/value_<isa>.h,
// kPooled, and load_some(from, count) and store_some(to, value, count) for up to kPooled of them.

struct Place {
  std::size_t line;  // counts the rows of all images
  Slice down;
  Slice across;
  std::size_t col;
};

// `count` channels of one output.
inline Value pooled(const PoolCall& call, const Place& place, std::size_t channel,
                    std::size_t count) {
  const Window& window = call.window;
  const bool maximum = call.pool == Pool::kMaximum;
  const std::size_t image = place.line / window.y.out, row = place.line % window.y.out;
  Value result = fill(maximum ? -std::numeric_limits<float>::infinity() : 0.0f);
  for (std::size_t ky = place.down.begin; ky < place.down.end; ++ky) {
    const std::size_t line = image * window.y.in + window.y.input(row, ky);
    for (std::size_t kx = place.across.begin; kx < place.across.end; ++kx) {
      const std::size_t pixel = line * window.x.in + window.x.input(place.col, kx);
      const Value x = load_some(call.x + pixel * call.channels + channel, count);
      result = maximum ? greater_of(x, result) : add(result, x);
    }
  }
  if (maximum) return result;
  const std::size_t inside =
      (place.down.end - place.down.begin) * (place.across.end - place.across.begin);
  const std::size_t taps = call.pool == Pool::kAverage ? inside : window.y.kernel * window.x.kernel;
  return div(result, fill(static_cast<float>(taps)));
}

inline void run(const PoolCall& call, Slice rows) {
  const Window& window = call.window;
  for (std::size_t line = rows.begin; line < rows.end; ++line) {
    Place place{line, window.y.taps(line % window.y.out), {0, 0}, 0};
    for (; place.col < window.x.out; ++place.col) {
      place.across = window.x.taps(place.col);
      float* y = call.y + (line * window.x.out + place.col) * call.channels;
      for (std::size_t channel = 0; channel < call.channels; channel += kPooled) {
        const std::size_t count = std::min(call.channels - channel, kPooled);
        store_some(y + channel, pooled(call, place, channel, count), count);
      }
    }
  }
}
