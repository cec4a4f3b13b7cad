// A fragment: conv2d_f32 on the registers of an instruction set. Included after
// kernels/math/value_<isa>.h and kernels/linear_float/rows_<isa>.h. The tokens of
// kernels/linear_float/part.h are neighbouring outputs of a row that have the same taps.
#include "kernels/linear_float/part.h"

// Some outputs of a row: those that start at `first`, of one image and group.
struct Place {
  std::size_t group;
  std::size_t image;
  std::size_t row;
  std::size_t first;
  Slice taps;  // along x
};

// Writes those of 16 sums whose outputs are below `end`, which are numbers within the group.
inline void finish(const Conv2dF32Call& call, std::size_t pixel, const Place& place, Slice outputs,
                   const float* sums) {
  if (outputs.begin >= outputs.end) return;
  const std::size_t count = std::min(outputs.end - outputs.begin, kLanes);
  const std::size_t output = place.group * call.group_outputs() + outputs.begin;
  Value value = load(sums);
  if (call.bias != nullptr) value = add(value, load_first(call.bias + output, count));
  value = lesser_of(fill(call.high), greater_of(fill(call.low), value));
  store_first(call.y + pixel * call.outputs + output, value, count);
}

// Adds every tap that lies inside the image.
template <typename Sums>
LAMELLA_INLINE void add_taps(const Conv2dF32Call& call, const Place& place, Sums& part) {
  const Window& window = call.window;
  const std::size_t inputs = call.group_inputs();
  const float* image = call.x + place.image * window.y.in * window.x.in * call.channels;
  const Slice down = window.y.taps(place.row);
  for (std::size_t ky = down.begin; ky < down.end; ++ky) {
    const std::size_t line = window.y.input(place.row, ky) * window.x.in;
    for (std::size_t kx = place.taps.begin; kx < place.taps.end; ++kx) {
      const std::size_t pixel = line + window.x.input(place.first, kx);
      const std::size_t col = (ky * window.x.kernel + kx) * inputs;
      part.add(image + pixel * call.channels + place.group * inputs, {col, col + inputs});
    }
  }
}

template <std::size_t kCount>
void run_pixels(const Conv2dF32Call& call, const FloatWeight& weight, Slice strips,
                const Place& place) {
  const Window& window = call.window;
  const std::size_t line = place.image * window.y.out + place.row;
  const std::size_t pixel = line * window.x.out + place.first;
  const std::size_t outputs = std::min(strips.end * kStripRows, weight.rows);
  for (; strips.begin < strips.end; strips.begin += lanes_of(kCount) * kWide) {
    PartOf<Plain<float>, kCount> part(weight, strips, window.x.stride * call.channels);
    add_taps(call, place, part);
    part.write([&](std::size_t i, std::size_t row, const float* sums) {
      finish(call, pixel + i, place, {strips.begin * kStripRows + row, outputs}, sums);
    });
  }
}

void run_row(const Conv2dF32Call& call, const FloatWeight& weight, Slice strips, Place place) {
  for_each_span(call.window.x, [&](std::size_t first, Slice taps, std::size_t span) {
    place.taps = taps;
    for_each_run({first, first + span}, [&](std::size_t at, auto count) {
      place.first = at;
      run_pixels<decltype(count)::value>(call, weight, strips, place);
    });
  });
}

void run(const Conv2dF32Call& call, Slice rows) {
  constexpr std::size_t kSpan = kMostLanes * kWide;
  FloatWeight weight{call.group_outputs(), call.products(), call.weight, nullptr, nullptr};
  const std::size_t strips = strips_of(weight.rows);
  for (std::size_t group = 0; group < call.groups; ++group) {
    for (std::size_t strip = 0; strip < strips; strip += kSpan) {
      for (std::size_t row = rows.begin; row < rows.end; ++row) {
        const Place place{group, row / call.window.y.out, row % call.window.y.out, 0, {0, 0}};
        run_row(call, weight, {strip, std::min(strip + kSpan, strips)}, place);
      }
    }
    weight.floats += strips * weight.cols * kStripRows;
  }
}
