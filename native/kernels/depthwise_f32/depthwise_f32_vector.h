// A fragment: depthwise_f32, 16 channels of some neighbouring outputs at a time. Included after
// kernels/math/value_<isa>.h and a constant kPixels, the most outputs whose sums stay in registers.
#include "kernels/math/some.h"

// Some neighbouring outputs of a row.
struct Place {
  std::size_t image;
  std::size_t row;
  std::size_t first;
};

// Writes `count` channels of an output.
inline void finish(const DepthwiseF32Call& call, std::size_t pixel, std::size_t channel,
                   std::size_t count, Value value) {
  if (call.bias != nullptr) value = add(value, load_some(call.bias + channel, count));
  value = lesser_of(fill(call.high), greater_of(fill(call.low), value));
  store_some(call.y + pixel * call.channels + channel, value, count);
}

inline std::size_t output_pixel(const Window& window, const Place& place) {
  return (place.image * window.y.out + place.row) * window.x.out + place.first;
}

// Any window: up to 16 channels of some outputs.
template <std::size_t... kOutput>
void run_any(const DepthwiseF32Call& call, const Place& place, std::size_t channel,
             std::index_sequence<kOutput...>) {
  const Window& window = call.window;
  const std::size_t count = std::min(call.channels - channel, kLanes);
  const Slice down = window.y.taps(place.row);
  Value sums[] = {(static_cast<void>(kOutput), fill(0.0f))...};
  for (std::size_t ky = down.begin; ky < down.end; ++ky) {
    const std::size_t row = place.image * window.y.in + window.y.input(place.row, ky);
    const float* line = call.x + row * window.x.in * call.channels + channel;
    for (std::size_t kx = 0; kx < window.x.kernel; ++kx) {
      const std::size_t tap = ky * window.x.kernel + kx;
      const Value weight = load_some(call.weight + tap * call.channels + channel, count);
      const auto add = [&](Value& sum, std::size_t col) {
        if (col < window.x.in)
          sum = fused(weight, load_some(line + col * call.channels, count), sum);
      };
      (add(sums[kOutput], window.x.input(place.first + kOutput, kx)), ...);
    }
  }
  const std::size_t pixel = output_pixel(window, place);
  (finish(call, pixel + kOutput, channel, count, sums[kOutput]), ...);
}

// Asks for what the next row of outputs needs beside the lines of this one.
template <std::size_t kStride>
LAMELLA_INLINE void prefetch_below(const DepthwiseF32Call& call, const Place& place,
                                   std::size_t channel) {
  const Window& window = call.window;
  const std::size_t row = window.y.input(place.row, window.y.kernel);
  const std::size_t below = output_pixel(window, place) + window.x.out;
  for (std::size_t i = 0; i < kPixels; ++i) {
    prefetch(call.y, (below + i) * call.channels + channel);
  }
  for (std::size_t i = 0; i < window.y.stride && row + i < window.y.in; ++i) {
    const std::size_t line = (place.image * window.y.in + row + i) * window.x.in;
    const std::size_t pixel = line + window.x.input(place.first, 0);
    for (std::size_t k = 0; k < kPixels * kStride; ++k) {
      prefetch(call.x, (pixel + k) * call.channels + channel);
    }
  }
}

// A width and a stride of windows that are known here, so that a pixel is read once for all of the
// outputs that it is a tap of.
template <std::size_t kKernel, std::size_t kStride>
struct Slide {
  static constexpr std::size_t kReach = (kPixels - 1) * kStride + kKernel;  // pixels of a line

  // Adds pixel kAt of a line, which is tap kAt - output * kStride of an output.
  template <std::size_t kAt, std::size_t... kOutput>
  LAMELLA_INLINE static void add_pixel(Value x, const Value* weights, Value* sums,
                                       std::index_sequence<kOutput...>) {
    ((kAt >= kOutput * kStride && kAt - kOutput * kStride < kKernel
          ? void(sums[kOutput] =
                     fused(weights[(kAt - kOutput * kStride) % kKernel], x, sums[kOutput]))
          : void()),
     ...);
  }

  // Adds a line of the image, from a pixel that wraps around where it lies before the line. Where
  // kInside is false, pixels may lie outside.
  template <bool kInside, std::size_t... kAt>
  LAMELLA_INLINE static void add_line(const DepthwiseF32Call& call, const float* line,
                                      std::size_t first, const float* weight, Value* sums,
                                      std::index_sequence<kAt...>) {
    constexpr auto kOutputs = std::make_index_sequence<kPixels>();
    Value weights[kKernel];
    for (std::size_t kx = 0; kx < kKernel; ++kx) weights[kx] = load(weight + kx * call.channels);
    ((kInside || first + kAt < call.window.x.in
          ? add_pixel<kAt>(load(line + (first + kAt) * call.channels), weights, sums, kOutputs)
          : void()),
     ...);
  }

  template <bool kInside>
  static void run_channels(const DepthwiseF32Call& call, const Place& place, std::size_t channel) {
    const Window& window = call.window;
    const Slice down = window.y.taps(place.row);
    const std::size_t first = window.x.input(place.first, 0);
    prefetch_below<kStride>(call, place, channel);
    Value sums[kPixels];
    for (std::size_t i = 0; i < kPixels; ++i) sums[i] = fill(0.0f);
    for (std::size_t ky = down.begin; ky < down.end; ++ky) {
      const std::size_t line = place.image * window.y.in + window.y.input(place.row, ky);
      add_line<kInside>(call, call.x + line * window.x.in * call.channels + channel, first,
                        call.weight + ky * kKernel * call.channels + channel, sums,
                        std::make_index_sequence<kReach>());
    }
    const std::size_t pixel = output_pixel(window, place);
    for (std::size_t i = 0; i < kPixels; ++i) finish(call, pixel + i, channel, kLanes, sums[i]);
  }

  // All channels of kPixels outputs.
  static void run(const DepthwiseF32Call& call, const Place& place) {
    const std::size_t first = call.window.x.input(place.first, 0);
    const bool inside = first < call.window.x.in && first + kReach <= call.window.x.in;
    std::size_t channel = 0;
    for (; channel + kLanes <= call.channels; channel += kLanes) {
      inside ? run_channels<true>(call, place, channel) : run_channels<false>(call, place, channel);
    }
    if (channel < call.channels) run_any(call, place, channel, std::make_index_sequence<kPixels>());
  }
};

struct AnySlide {
  static void run(const DepthwiseF32Call& call, const Place& place) {
    for (std::size_t channel = 0; channel < call.channels; channel += kLanes) {
      run_any(call, place, channel, std::make_index_sequence<kPixels>());
    }
  }
};

// Outputs of a row, kPixels at a time; the last ones may be computed twice.
template <typename Slide>
void run_line(const DepthwiseF32Call& call, Place place) {
  const std::size_t width = call.window.x.out;
  for (std::size_t first = 0; first < width; first += kPixels) {
    place.first = std::min(first, width - kPixels);
    Slide::run(call, place);
  }
}

void run_narrow(const DepthwiseF32Call& call, Place place) {
  for (; place.first < call.window.x.out; ++place.first) {
    for (std::size_t channel = 0; channel < call.channels; channel += kLanes) {
      run_any(call, place, channel, std::make_index_sequence<1>());
    }
  }
}

using RunLine = void (*)(const DepthwiseF32Call& call, Place place);

inline RunLine choose_line(const WindowAxis& axis) {
  const auto is = [&](std::size_t kernel, std::size_t stride) {
    return axis.dilation == 1 && axis.kernel == kernel && axis.stride == stride;
  };
  if (axis.out < kPixels) return &run_narrow;
  if (is(3, 1)) return &run_line<Slide<3, 1>>;
  if (is(3, 2)) return &run_line<Slide<3, 2>>;
  if (is(5, 1)) return &run_line<Slide<5, 1>>;
  if (is(5, 2)) return &run_line<Slide<5, 2>>;
  if (is(7, 1)) return &run_line<Slide<7, 1>>;
  return &run_line<AnySlide>;
}

void run(const DepthwiseF32Call& call, Slice rows) {
  const Window& window = call.window;
  const RunLine run_line = choose_line(window.x);
  for (std::size_t line = rows.begin; line < rows.end; ++line) {
    run_line(call, {line / window.y.out, line % window.y.out, 0});
  }
}
