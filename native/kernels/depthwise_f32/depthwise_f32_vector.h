// A fragment: depthwise_f32, 16 channels of some neighbouring outputs at a time. Included after
// kernels/math/value_<isa>.h.

constexpr std::size_t kPixels = 4;  // the most outputs that share a weight

// The first of some neighbouring outputs of a row that have the same taps.
struct Place {
  std::size_t image;
  std::size_t row;
  std::size_t first;
  Slice taps;  // along x
};

inline Value load_some(const float* from, std::size_t count) {
  return count == kLanes ? load(from) : load_first(from, count);
}

// `count` channels from `channel` on.
template <std::size_t... kPixel>
void run_channels(const DepthwiseF32Call& call, const Place& place, std::size_t channel,
                  std::index_sequence<kPixel...>) {
  const Window& window = call.window;
  const std::size_t count = std::min(call.channels - channel, kLanes);
  const std::size_t step = window.x.stride * call.channels;
  const Slice down = window.y.taps(place.row);
  Value sums[] = {(static_cast<void>(kPixel), fill(0.0f))...};
  for (std::size_t ky = down.begin; ky < down.end; ++ky) {
    const std::size_t line = place.image * window.y.in + window.y.input(place.row, ky);
    for (std::size_t kx = place.taps.begin; kx < place.taps.end; ++kx) {
      const std::size_t pixel = line * window.x.in + window.x.input(place.first, kx);
      const float* x = call.x + pixel * call.channels + channel;
      const std::size_t tap = ky * window.x.kernel + kx;
      const Value weight = load_some(call.weight + tap * call.channels + channel, count);
      ((sums[kPixel] = fused(weight, load_some(x + kPixel * step, count), sums[kPixel])), ...);
    }
  }
  const std::size_t line = place.image * window.y.out + place.row;
  float* y = call.y + (line * window.x.out + place.first) * call.channels + channel;
  for (std::size_t i = 0; i < sizeof...(kPixel); ++i, y += call.channels) {
    Value value = sums[i];
    if (call.bias != nullptr) value = add(value, load_some(call.bias + channel, count));
    store_first(y, lesser_of(fill(call.high), greater_of(fill(call.low), value)), count);
  }
}

template <std::size_t kCount>
void run_span(const DepthwiseF32Call& call, const Place& place) {
  for (std::size_t channel = 0; channel < call.channels; channel += kLanes) {
    run_channels(call, place, channel, std::make_index_sequence<kCount>());
  }
}

void run(const DepthwiseF32Call& call, Slice rows) {
  const Window& window = call.window;
  for (std::size_t line = rows.begin; line < rows.end; ++line) {
    const auto visit = [&](std::size_t first, Slice taps, std::size_t span) {
      Place place{line / window.y.out, line % window.y.out, first, taps};
      const std::size_t end = first + span;
      for (; place.first + kPixels <= end; place.first += kPixels) run_span<kPixels>(call, place);
      for (; place.first < end; ++place.first) run_span<1>(call, place);
    };
    for_each_span(window.x, visit);
  }
}
