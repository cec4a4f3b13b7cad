// Packs weights and runs the selected kernels of conv2d_a8 and depthwise_a8 on cases (probe_io.h).
//
// A case is the struct Case as 32-bit numbers, then codes, x, residual, and the parameters of the
// epilogue that belong to rows.
#include "kernels/conv2d_a8/conv2d_a8.h"
#include "kernels/depthwise_a8/depthwise_a8.h"
#include "probe_io.h"

namespace {

using namespace lamella::probe;

struct Case {
  std::uint32_t bits, groups, rows, cols;  // bits is 0 for depthwise
  std::uint32_t batch, height, width, out_height, out_width;
  std::uint32_t kernel[2], stride[2], dilation[2], top, left;
  std::uint32_t input_zero, codes, zero, residual, residual_zero;
  std::uint32_t activation;
  float low, high, residual_step, unit;
};

struct Parameters {
  std::vector<std::int32_t> offset, sum;
  std::vector<float> step, bias;
};

// Reads int32 bias, step and bias of each row, and spreads them over the places of a weight.
template <typename Place>
void read_rows(std::istream& in, const Case& head, std::size_t rows, const Place& place,
               Parameters* to) {
  const auto added = read<std::int32_t>(in, rows);
  const auto step = read<float>(in, rows);
  const auto bias = read<float>(in, rows);
  to->offset.resize(to->sum.size());
  to->step.resize(to->sum.size());
  to->bias.resize(to->sum.size());
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t at = place(row);
    to->offset[at] = added[row] - static_cast<std::int32_t>(head.input_zero) * to->sum[at];
    to->step[at] = step[row];
    to->bias[at] = bias[row];
  }
}

lamella::Epilogue epilogue_of(const Case& head, const Parameters& parameters) {
  return {parameters.offset.data(),
          parameters.sum.data(),
          parameters.step.data(),
          parameters.bias.data(),
          head.low,
          head.high,
          head.codes != 0,
          static_cast<std::int32_t>(head.zero),
          head.residual_step,
          static_cast<std::int32_t>(head.residual_zero),
          static_cast<lamella::Activation>(head.activation),
          head.unit};
}

// What both operations read and where they write.
struct Arrays {
  const lamella::Window& window;
  const std::vector<std::uint8_t>& codes;
  lamella::Source source;
  lamella::Finished output;
};

void run_depthwise(const Case& head, lamella::IsaSet allowed, std::istream& in,
                   const Arrays& arrays) {
  const lamella::DepthwiseSize size{arrays.source.channels, arrays.window.taps()};
  std::vector<std::int8_t> weights(size.pairs() * size.pair_bytes());
  Parameters parameters;
  parameters.sum.resize(size.stored_channels());
  lamella::pack_depthwise(size, arrays.codes.data(), weights.data(), parameters.sum.data());
  read_rows(in, head, size.channels, [](std::size_t row) { return row; }, &parameters);
  const lamella::DepthwiseWeight weight{size, weights.data()};
  const lamella::Epilogue epilogue = epilogue_of(head, parameters);
  const auto& kernel = said(lamella::depthwise_a8_select(allowed));
  kernel.run({weight, arrays.window, epilogue, arrays.source, arrays.output},
             {0, arrays.window.positions()});
}

void run_conv2d(const Case& head, lamella::IsaSet allowed, std::istream& in, const Arrays& arrays) {
  const lamella::Conv2dSize size{head.groups, head.rows, arrays.window.taps(), head.cols,
                                 static_cast<int>(head.bits)};
  std::vector<std::uint8_t> tiles(size.strips() * size.strip_bytes());
  Parameters parameters;
  parameters.sum.resize(size.epilogue_rows());
  lamella::pack_conv2d(size, arrays.codes.data(), tiles.data(), parameters.sum.data());
  const auto place = [&size](std::size_t row) {
    return row / size.rows * size.group_strips() * lamella::kStripRows + row % size.rows;
  };
  read_rows(in, head, size.groups * size.rows, place, &parameters);
  const lamella::Conv2dWeight weight{size, tiles.data()};
  const lamella::Epilogue epilogue = epilogue_of(head, parameters);
  const auto& kernel = said(lamella::conv2d_a8_select(size.bits, allowed));
  kernel.run({weight, arrays.window, epilogue, arrays.source, arrays.output},
             {0, arrays.window.positions()}, {0, size.strips()});
}

void answer(lamella::IsaSet allowed, std::istream& in) {
  const Case head = read<Case>(in, 1)[0];
  const std::size_t rows = head.groups * std::size_t{head.rows};
  const std::size_t channels = head.groups * std::size_t{head.cols};
  const lamella::Window window{
      head.batch,
      {head.height, head.out_height, head.kernel[0], head.stride[0], head.dilation[0], head.top},
      {head.width, head.out_width, head.kernel[1], head.stride[1], head.dilation[1], head.left}};
  const auto codes = read<std::uint8_t>(in, rows * window.taps() * head.cols);
  const auto x = read<std::uint8_t>(in, head.batch * head.height * head.width * channels);
  const std::size_t outputs = window.positions() * rows;
  const auto residual = read<std::uint8_t>(in, head.residual != 0 ? outputs : 0);
  std::vector<std::uint8_t> y(outputs * (head.codes != 0 ? 1 : sizeof(float)));
  const std::vector<std::uint8_t> zeros(head.bits == 0 ? channels : head.cols,
                                        static_cast<std::uint8_t>(head.input_zero));
  const Arrays arrays{window,
                      codes,
                      {x.data(), zeros.data(), channels},
                      {head.residual != 0 ? residual.data() : nullptr, y.data()}};
  (head.bits == 0 ? run_depthwise : run_conv2d)(head, allowed, in, arrays);
  write(y);
}

}  // namespace

int main(int count, char** arguments) {
  return lamella::probe::answer_cases(count, arguments, answer);
}
