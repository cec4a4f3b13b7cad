#include "bind/transpose.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/threads.h"
#include "kernels/transpose/transpose.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Order = std::vector<std::int64_t>;

void check_elements(const py::array& x) {
  check_kind(x, "x", x.dtype());
  const py::ssize_t bytes = x.itemsize();
  if (bytes != 1 && bytes != 2 && bytes != 4) {
    throw py::value_error("elements of x must have 1, 2 or 4 bytes, but those of " +
                          py::str(x.dtype()).cast<std::string>() + " have " +
                          std::to_string(bytes));
  }
  if (x.ndim() > static_cast<py::ssize_t>(kMostAxes)) {
    throw py::value_error("x may have at most " + std::to_string(kMostAxes) +
                          " dimensions, but its shape is " + shape_text(shape_of(x)));
  }
}

Extents checked_order(const Order& order, py::ssize_t axes) {
  Order sorted = order;
  std::sort(sorted.begin(), sorted.end());
  bool fits = static_cast<py::ssize_t>(order.size()) == axes;
  for (std::size_t i = 0; fits && i < sorted.size(); ++i) {
    fits = sorted[i] == static_cast<std::int64_t>(i);
  }
  if (fits) return Extents(order.begin(), order.end());
  throw py::value_error("order must have each of the " + std::to_string(axes) +
                        " axes of x once, but it is " +
                        py::str(py::tuple(py::cast(order))).cast<std::string>());
}

py::array transpose(const TransposeKernel& kernel, const py::array& x, const Order& order,
                    ThreadPool* pool) {
  check_runs(kernel);
  check_elements(x);
  const Extents axes = checked_order(order, x.ndim());
  const Extents sizes(x.shape(), x.shape() + x.ndim());
  Shape shape;
  for (const std::size_t axis : axes) shape.push_back(x.shape(static_cast<py::ssize_t>(axis)));
  py::array y(x.dtype(), shape);
  const TransposePlan plan = plan_transpose(static_cast<std::size_t>(x.itemsize()),
                                            {sizes.data(), sizes.size()}, axes.data());
  const TransposeCall call{plan, static_cast<const std::uint8_t*>(x.data()),
                           static_cast<std::uint8_t*>(y.mutable_data())};
  const py::gil_scoped_release unlocked;
  run_slices(pool, plan.units(), [&](Slice units) { kernel.run(call, units); });
  return y;
}

}  // namespace

void bind_transpose(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_kernel(module, "transpose", "TransposeKernel", transpose_kernels(),
              transpose_select(allowed))
      .def("run", &transpose, arg("x"), arg("order"), arg("pool") = py::none());
}

}  // namespace lamella
