// Runs the selected float kernels on cases (probe_io.h).
//
// A case is four 32-bit numbers (rows, cols, heads, half) and the arrays of test_float_builds.py in
// its order; the answers are in the order of `answer`. Each is computed twice, into an array of its
// own and in place.
#include "kernels/elementwise/elementwise.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/softmax/softmax.h"
#include "probe_io.h"

namespace {

using namespace lamella::probe;
using Floats = std::vector<float>;

// Calls run(x, y) with two arrays and with one.
template <typename Run>
void both(const Floats& x, Run run) {
  Floats apart(x.size());
  run(x.data(), apart.data());
  write(apart);
  Floats in_place = x;
  run(in_place.data(), in_place.data());
  write(in_place);
}

void answer_elementwise(const lamella::ElementwiseCalls& calls, const Floats& a, const Floats& b) {
  const std::size_t size = a.size();
  const lamella::Broadcast shape = lamella::plan_broadcast({&size, 1}, {&size, 1});
#define LAMELLA_UNARY(name) both(a, [&](const float* x, float* y) { calls.name(a.size(), x, y); });
#define LAMELLA_BINARY(name) \
  both(a, [&](const float* x, float* y) { calls.name(shape, x, b.data(), y, {0, a.size()}); });
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY
}

void answer(lamella::IsaSet allowed, std::istream& in) {
  const auto head = read<std::uint32_t>(in, 4);
  const std::size_t rows = head[0];
  const std::size_t cols = head[1];
  const Floats a = read<float>(in, rows * cols);
  const Floats b = read<float>(in, rows * cols);
  const Floats weight = read<float>(in, cols);
  const Floats bias = read<float>(in, cols);
  answer_elementwise(*said(lamella::elementwise_select(allowed)).calls, a, b);
  const auto& softmax = said(lamella::softmax_select(allowed));
  both(a, [&](const float* x, float* y) { softmax.run(rows, cols, x, y); });
  const auto& rmsnorm = said(lamella::rmsnorm_select(allowed));
  both(a, [&](const float* x, float* y) { rmsnorm.run(rows, cols, x, {weight.data(), 1e-5f}, y); });
  const auto& layernorm = said(lamella::layernorm_select(allowed));
  both(a, [&](const float* x, float* y) {
    layernorm.run(rows, cols, x, {weight.data(), bias.data(), 1e-5f}, y);
  });
  const lamella::RopeShape shape{rows, head[2], head[3]};
  const Floats heads = read<float>(in, rows * shape.heads * 2 * shape.half);
  const Floats cosine = read<float>(in, rows * shape.half);
  const Floats sine = read<float>(in, rows * shape.half);
  const auto position = read<std::int32_t>(in, rows);
  const lamella::RopeTables tables{cosine.data(), sine.data(), position.data()};
  const auto& rope = said(lamella::rope_select(allowed));
  both(heads, [&](const float* x, float* y) { rope.run(shape, x, tables, y); });
}

}  // namespace

int main(int count, char** arguments) {
  return lamella::probe::answer_cases(count, arguments, answer);
}
