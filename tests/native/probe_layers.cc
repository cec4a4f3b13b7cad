// Runs the selected kernels of linear_float, conv2d_f32, depthwise_f32, pool2d and sparse_linear_a8
// on cases (probe_io.h).
//
// A case is the number of the operation, the 32-bit numbers that its answer_ function reads, and
// packed weights, inputs and biases.
#include "kernels/conv2d_f32/conv2d_f32.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/linear_float/linear_float.h"
#include "kernels/pack/pack.h"
#include "kernels/pool2d/pool2d.h"
#include "kernels/sparse_linear_a8/sparse_linear_a8.h"
#include "probe_io.h"

namespace {

using namespace lamella::probe;
using lamella::FloatKind;

// Numbers: rows, cols, kind, group, tokens, activation, whether zero points and a bias follow.
void answer_linear(lamella::IsaSet allowed, std::istream& in) {
  const auto head = read<std::uint32_t>(in, 7);
  const std::size_t rows = head[0], cols = head[1], group = head[3], tokens = head[4];
  const auto kind = static_cast<FloatKind>(head[2]);
  const bool more = head[6] != 0;
  const std::size_t strips = lamella::strips_of(rows), items = strips * cols * lamella::kStripRows;
  const auto floats = read<float>(in, kind == FloatKind::kF32 ? items : 0);
  const auto halves = read<std::uint16_t>(in, kind == FloatKind::kF16 ? items : 0);
  const bool coded = kind == FloatKind::kW4 || kind == FloatKind::kW8;
  const int bits = kind == FloatKind::kW4 ? 4 : 8;
  const std::size_t grids = lamella::grids_of(cols, group);
  const std::size_t scales = coded ? strips * grids * lamella::kStripRows : 0;
  const auto tiles = read<std::uint8_t>(
      in, coded ? strips * lamella::blocks_of(cols) * lamella::tile_bytes(bits) : 0);
  const auto half_scale = read<std::uint16_t>(in, group == 0 ? 0 : scales);
  const auto row_scale = read<float>(in, group == 0 ? scales : 0);
  const auto zero = read<std::uint8_t>(in, more ? scales : 0);
  const auto x = read<float>(in, tokens * cols);
  const auto bias = read<float>(in, more ? rows : 0);

  const lamella::LinearWeight codes{rows,
                                    cols,
                                    bits,
                                    grids,
                                    lamella::grid_shift_of(group),
                                    tiles.data(),
                                    group == 0 ? nullptr : half_scale.data(),
                                    group == 0 ? row_scale.data() : nullptr,
                                    more ? zero.data() : nullptr};
  const lamella::FloatWeight weight{rows, cols, kind == FloatKind::kF32 ? floats.data() : nullptr,
                                    kind == FloatKind::kF16 ? halves.data() : nullptr,
                                    coded ? &codes : nullptr};
  std::vector<float> y(tokens * rows);
  const auto& kernel = said(lamella::linear_float_select(kind, allowed));
  const lamella::LinearFloatCall call{weight,
                                      tokens,
                                      x.data(),
                                      more ? bias.data() : nullptr,
                                      static_cast<lamella::Activation>(head[5]),
                                      y.data()};
  kernel.run(call, {0, strips});
  write(y);
}

// Numbers of an axis: in, out, kernel, stride, dilation, before.
lamella::WindowAxis read_axis(std::istream& in) {
  const auto head = read<std::uint32_t>(in, 6);
  return {head[0], head[1], head[2], head[3], head[4], head[5]};
}

// Numbers: images, groups, channels, outputs, then the two axes. Groups are 0 for depthwise_f32.
void answer_conv(lamella::IsaSet allowed, std::istream& in) {
  const auto head = read<std::uint32_t>(in, 4);
  const std::size_t groups = head[1], channels = head[2], outputs = head[3];
  const lamella::WindowAxis down = read_axis(in), across = read_axis(in);
  const lamella::Window window{head[0], down, across};
  const std::size_t taps = down.kernel * across.kernel;
  const std::size_t packed =
      groups == 0 ? channels
                  : channels * lamella::strips_of(outputs / groups) * lamella::kStripRows;
  const auto weight = read<float>(in, taps * packed);
  const auto x = read<float>(in, head[0] * down.in * across.in * channels);
  const auto bias = read<float>(in, outputs);
  std::vector<float> y(window.rows() * across.out * outputs);
  if (groups == 0) {
    const auto& kernel = said(lamella::depthwise_f32_select(allowed));
    kernel.run({window, channels, x.data(), weight.data(), bias.data(), -1.5f, 6.0f, y.data()},
               {0, window.rows()});
  } else {
    const auto& kernel = said(lamella::conv2d_f32_select(allowed));
    kernel.run({window, groups, channels, outputs, x.data(), weight.data(), bias.data(), -1.5f,
                6.0f, y.data()},
               {0, window.rows()});
  }
  write(y);
}

// Numbers: images, kind, channels, then the two axes.
void answer_pool(lamella::IsaSet allowed, std::istream& in) {
  const auto head = read<std::uint32_t>(in, 3);
  const lamella::WindowAxis down = read_axis(in), across = read_axis(in);
  const lamella::Window window{head[0], down, across};
  const auto x = read<float>(in, head[0] * down.in * across.in * head[2]);
  std::vector<float> y(window.rows() * across.out * head[2]);
  const auto& kernel = said(lamella::pool2d_select(allowed));
  kernel.run({window, static_cast<lamella::Pool>(head[1]), head[2], x.data(), y.data()},
             {0, window.rows()});
  write(y);
}

// Numbers: rows, cols, bits, group, tokens, bytes of the kept codes with their padding.
void answer_sparse(lamella::IsaSet allowed, std::istream& in) {
  const auto head = read<std::uint32_t>(in, 6);
  const std::size_t rows = head[0], cols = head[1], group = head[3], tokens = head[4];
  const int bits = static_cast<int>(head[2]);
  const std::size_t strips = lamella::strips_of(rows), blocks = lamella::blocks_of(cols);
  const std::size_t grids = lamella::grids_of(cols, group);
  const auto codes = read<std::uint8_t>(in, head[5]);
  const auto masks = read<std::uint64_t>(in, strips * blocks * lamella::kPairs);
  const auto starts = read<std::uint32_t>(in, strips * blocks);
  const auto scale = read<std::uint16_t>(in, strips * grids * lamella::kStripRows);
  const auto zero = read<std::uint8_t>(in, strips * grids * lamella::kStripRows);
  const auto x = read<float>(in, tokens * cols);
  const lamella::LinearWeight weight{
      rows,         cols,         bits,    grids,       lamella::grid_shift_of(group),
      codes.data(), scale.data(), nullptr, zero.data(), masks.data(),
      starts.data()};
  std::vector<std::int8_t> inputs(tokens * lamella::token_bytes(cols));
  std::vector<float> input_scale(tokens * blocks);
  std::vector<std::int32_t> sum(tokens * blocks), half_sum(sum.size());
  const lamella::LinearInput input{tokens,     cols,           inputs.data(), input_scale.data(),
                                   sum.data(), half_sum.data()};
  lamella::linear_input_select(allowed).run(x.data(), input, {0, tokens});
  std::vector<float> y(tokens * rows);
  const auto& kernel = said(lamella::sparse_linear_a8_select(bits, allowed));
  kernel.run({weight, input, nullptr, y.data()}, {0, strips});
  write(y);
}

constexpr void (*kAnswers[])(lamella::IsaSet, std::istream&) = {&answer_linear, &answer_conv,
                                                                &answer_pool, &answer_sparse};

void answer(lamella::IsaSet allowed, std::istream& in) {
  kAnswers[read<std::uint32_t>(in, 1)[0]](allowed, in);
}

}  // namespace

int main(int count, char** arguments) {
  return lamella::probe::answer_cases(count, arguments, answer);
}
