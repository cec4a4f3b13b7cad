// Runs the selected kernels of quantize, transpose and elementwise on cases (probe_io.h).
//
// A case is the number of the operation, the 32-bit numbers that its answer_ function reads, and
// its arrays.
#include <algorithm>

#include "kernels/elementwise/elementwise.h"
#include "kernels/quantize/quantize.h"
#include "kernels/transpose/transpose.h"
#include "probe_io.h"

namespace {

using namespace lamella::probe;

// Calls run(Slice) for two parts of [0, count), the second of which begins at a multiple of `unit`.
template <typename Run>
void in_parts(std::size_t count, std::size_t unit, const Run& run) {
  const std::size_t middle = std::min(count / 2 / unit * unit, count);
  run(lamella::Slice{0, middle});
  run(lamella::Slice{middle, count});
}

// Numbers: elements, channels, what is inverted. Arrays: scale and zero of channels, x.
// Answers: codes, and what they stand for.
void answer_quantize(lamella::IsaSet allowed, std::istream& in) {
  const auto head = read<std::uint32_t>(in, 3);
  const std::size_t count = head[0], channels = head[1];
  auto scale = read<float>(in, channels), zero = read<float>(in, channels);
  for (std::size_t i = channels; i < lamella::period_of(channels); ++i) {
    scale.push_back(scale[i - channels]);
    zero.push_back(zero[i - channels]);
  }
  scale.shrink_to_fit();
  zero.shrink_to_fit();
  const auto x = read<float>(in, count);
  const lamella::Grids grids{scale.size(), scale.data(), zero.data(),
                             static_cast<std::uint8_t>(head[2])};
  const auto& kernel = said(lamella::quantize_select(allowed));
  std::vector<std::uint8_t> codes(count);
  std::vector<float> back(count);
  in_parts(count, lamella::kQuantizeBlock, [&](lamella::Slice some) {
    kernel.calls->quantize(grids, x.data(), codes.data(), some);
    kernel.calls->dequantize(grids, codes.data(), back.data(), some);
  });
  write(codes);
  write(back);
}

// Numbers: bytes of an element, axes, their sizes and their order. Array: x.
void answer_transpose(lamella::IsaSet allowed, std::istream& in) {
  const auto head = read<std::uint32_t>(in, 2);
  const auto small_sizes = read<std::uint32_t>(in, head[1]);
  const auto small_order = read<std::uint32_t>(in, head[1]);
  const std::vector<std::size_t> sizes(small_sizes.begin(), small_sizes.end());
  const std::vector<std::size_t> order(small_order.begin(), small_order.end());
  std::size_t bytes = head[0];
  for (const std::size_t size : sizes) bytes *= size;
  const auto x = read<std::uint8_t>(in, bytes);
  const lamella::TransposePlan plan =
      lamella::plan_transpose(head[0], {sizes.data(), sizes.size()}, order.data());
  const auto& kernel = said(lamella::transpose_select(allowed));
  std::vector<std::uint8_t> y(bytes);
  in_parts(plan.units(), 1,
           [&](lamella::Slice units) { kernel.run({plan, x.data(), y.data()}, units); });
  write(y);
}

// Numbers: axes, the sizes of a and of b. Arrays: a, b. Answer: a - b.
void answer_broadcast(lamella::IsaSet allowed, std::istream& in) {
  const std::size_t axes = read<std::uint32_t>(in, 1)[0];
  std::vector<std::size_t> sizes[2];
  std::size_t counts[] = {1, 1}, count = 1;
  for (std::size_t side = 0; side < 2; ++side) {
    for (const std::uint32_t size : read<std::uint32_t>(in, axes)) {
      sizes[side].push_back(size);
      counts[side] *= size;
    }
  }
  for (std::size_t i = 0; i < axes; ++i) count *= sizes[sizes[0][i] == 1][i];
  const auto a = read<float>(in, counts[0]), b = read<float>(in, counts[1]);
  const lamella::Broadcast shape =
      lamella::plan_broadcast({sizes[0].data(), axes}, {sizes[1].data(), axes});
  const auto& kernel = said(lamella::elementwise_select(allowed));
  std::vector<float> y(count);
  in_parts(count, 1, [&](lamella::Slice some) {
    kernel.calls->sub(shape, a.data(), b.data(), y.data(), some);
  });
  write(y);
}

constexpr void (*kAnswers[])(lamella::IsaSet, std::istream&) = {&answer_quantize, &answer_transpose,
                                                                &answer_broadcast};

void answer(lamella::IsaSet allowed, std::istream& in) {
  kAnswers[read<std::uint32_t>(in, 1)[0]](allowed, in);
}

}  // namespace

int main(int count, char** arguments) {
  return lamella::probe::answer_cases(count, arguments, answer);
}
