#include "bind/elementwise.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <string>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/threads.h"
#include "kernels/elementwise/elementwise.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float>;

Floats unary(const ElementwiseKernel& kernel, UnaryFn run, const py::array& x, ThreadPool* pool) {
  check_runs(kernel);
  const Floats in = checked<float>(x, "x");
  Floats out(shape_of(in));
  const auto count = static_cast<std::size_t>(in.size());
  const float* from = in.data();
  float* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  run_slices(pool, count,
             [&](Slice some) { run(some.end - some.begin, from + some.begin, to + some.begin); });
  return out;
}

// The sizes of an array with ones in front, up to so many axes.
Extents filled_up(const py::array& array, std::size_t axes) {
  Extents sizes(axes - static_cast<std::size_t>(array.ndim()), 1);
  sizes.insert(sizes.end(), array.shape(), array.shape() + array.ndim());
  return sizes;
}

// What the two arrays are broadcast to.
Shape checked_shape(const py::array& a, const py::array& b, const Extents& left,
                    const Extents& right) {
  Shape shape;
  bool fits = left.size() <= kMostAxes;
  for (std::size_t i = 0; i < left.size(); ++i) {
    fits = fits && (left[i] == right[i] || left[i] == 1 || right[i] == 1);
    shape.push_back(static_cast<py::ssize_t>(left[i] == 1 ? right[i] : left[i]));
  }
  if (fits) return shape;
  throw py::value_error("a of shape " + shape_text(shape_of(a)) + " and b of shape " +
                        shape_text(shape_of(b)) + " cannot be broadcast over at most " +
                        std::to_string(kMostAxes) + " dimensions");
}

Floats binary(const ElementwiseKernel& kernel, BinaryFn run, const py::array& a, const py::array& b,
              ThreadPool* pool) {
  check_runs(kernel);
  const Floats first = checked<float>(a, "a");
  const Floats second = checked<float>(b, "b");
  const auto axes = static_cast<std::size_t>(std::max(a.ndim(), b.ndim()));
  const Extents left = filled_up(a, axes), right = filled_up(b, axes);
  Floats out(checked_shape(a, b, left, right));
  const Broadcast shape = plan_broadcast({left.data(), axes}, {right.data(), axes});
  const auto count = static_cast<std::size_t>(out.size());
  const float* from = first.data();
  const float* other = second.data();
  float* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  run_slices(pool, count, [&](Slice some) { run(shape, from, other, to, some); });
  return out;
}

}  // namespace

void bind_elementwise(py::module_& module, IsaSet allowed) {
  using py::arg;
  using Kernel = ElementwiseKernel;
  auto kernel = bind_kernel(module, "elementwise", "ElementwiseKernel", elementwise_kernels(),
                            elementwise_select(allowed));
#define LAMELLA_UNARY(name)                                         \
  kernel.def(                                                       \
      #name,                                                        \
      [](const Kernel& row, const py::array& x, ThreadPool* pool) { \
        return unary(row, row.calls->name, x, pool);                \
      },                                                            \
      arg("x"), arg("pool") = py::none());
#define LAMELLA_BINARY(name)                                                            \
  kernel.def(                                                                           \
      #name,                                                                            \
      [](const Kernel& row, const py::array& a, const py::array& b, ThreadPool* pool) { \
        return binary(row, row.calls->name, a, b, pool);                                \
      },                                                                                \
      arg("a"), arg("b"), arg("pool") = py::none());
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY
}

}  // namespace lamella
