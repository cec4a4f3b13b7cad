#include "bind/linear.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "base/formats.h"
#include "base/threads.h"
#include "bind/linear_weight.h"
#include "kernels/linear_a8/linear_a8.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style>;

template <typename Kernel>
bool runs_here(const Kernel& kernel) {
  return runs_on(kernel.needs, detect_isa());
}

template <typename Kernel>
void check_runs(const Kernel& kernel) {
  if (runs_here(kernel)) return;
  throw py::value_error(std::string(kernel.name) + " needs instructions that this processor lacks");
}

template <typename Kernel>
std::vector<const Kernel*> listed(Span<Kernel> kernels) {
  std::vector<const Kernel*> list;
  for (const Kernel& kernel : kernels) list.push_back(&kernel);
  return list;
}

// Runs the whole loop on this thread where there is no pool.
template <typename Body>
void run_slices(ThreadPool* pool, std::size_t count, const Body& body) {
  if (pool != nullptr) {
    pool->run(count, body);
  } else if (count != 0) {
    body(Slice{0, count});
  }
}

void check_input(const py::array& x, std::size_t cols) {
  check_array(x, "x", py::dtype::of<float>(), {static_cast<std::size_t>(x.shape(0)), cols});
}

py::tuple run_input(const LinearInputKernel& kernel, const py::array& x) {
  check_runs(kernel);
  check_dimensions(x, "x", 2);
  const py::ssize_t tokens = x.shape(0);
  const auto cols = static_cast<std::size_t>(x.shape(1));
  check_input(x, cols);
  const auto blocks = static_cast<py::ssize_t>(blocks_of(cols));
  py::array_t<std::int8_t> codes({tokens, static_cast<py::ssize_t>(token_bytes(cols))});
  std::fill_n(codes.mutable_data(), codes.size(), std::int8_t{0});
  Floats scale({blocks, tokens});
  py::array_t<std::int32_t> sum({blocks, tokens});
  const LinearInput input{static_cast<std::size_t>(tokens), cols, codes.mutable_data(),
                          scale.mutable_data(), sum.mutable_data()};
  const auto* from = static_cast<const float*>(x.data());
  {
    const py::gil_scoped_release unlocked;
    kernel.run(from, input, {0, input.tokens});
  }
  return py::make_tuple(codes, scale, sum);
}

Floats run_linear(const LinearKernel& kernel, const LinearArrays& weight, const py::array& x,
                  const std::optional<py::array>& bias, ThreadPool* pool) {
  check_runs(kernel);
  const LinearWeight view = weight.view();
  if (view.bits != kernel.bits) {
    throw py::value_error(std::string(kernel.name) + " cannot run a weight of " +
                          std::to_string(view.bits) + " bits");
  }
  check_dimensions(x, "x", 2);
  check_input(x, view.cols);
  if (bias) check_array(*bias, "bias", py::dtype::of<float>(), {view.rows});
  Floats y({x.shape(0), static_cast<py::ssize_t>(view.rows)});
  const auto tokens = static_cast<std::size_t>(x.shape(0));
  const auto* from = static_cast<const float*>(x.data());
  const auto* added = bias ? static_cast<const float*>(bias->data()) : nullptr;
  float* to = y.mutable_data();
  const py::gil_scoped_release unlocked;
  std::vector<std::int8_t> codes(tokens * token_bytes(view.cols));
  std::vector<float> scale(tokens * blocks_of(view.cols));
  std::vector<std::int32_t> sum(scale.size());
  const LinearInput input{tokens, view.cols, codes.data(), scale.data(), sum.data()};
  const LinearInputFn quantize = linear_input_select(kernel.needs).run;
  run_slices(pool, tokens, [&](Slice slice) { quantize(from, input, slice); });
  const LinearCall call{view, input, added, to};
  run_slices(pool, strips_of(view.rows), [&](Slice slice) { kernel.run(call, slice); });
  return y;
}

const LinearKernel* select(int bits, IsaSet allowed) {
  if (bits != 1 && packs(bits)) return &linear_a8_select(bits, allowed);
  throw py::value_error("bits must be 2, 3, 4, 5, 6 or 8, not " + std::to_string(bits));
}

}  // namespace

void bind_linear(py::module_& module, IsaSet allowed) {
  using py::arg;
  constexpr auto kStatic = py::return_value_policy::reference;
  bind_linear_weight(module);
  py::class_<LinearInputKernel>(module, "LinearInputKernel")
      .def_property_readonly("name", [](const LinearInputKernel& kernel) { return kernel.name; })
      .def_property_readonly("runs_here", &runs_here<LinearInputKernel>)
      .def("run", &run_input, arg("x"));
  module.def("linear_input_kernels", [] { return listed(linear_input_kernels()); }, kStatic);
  module.def("linear_input_kernel", [allowed] { return &linear_input_select(allowed); }, kStatic);
  py::class_<LinearKernel>(module, "LinearKernel")
      .def_property_readonly("name", [](const LinearKernel& kernel) { return kernel.name; })
      .def_property_readonly("bits", [](const LinearKernel& kernel) { return kernel.bits; })
      .def_property_readonly("runs_here", &runs_here<LinearKernel>)
      .def("run", &run_linear, arg("weight"), arg("x"), arg("bias") = py::none(),
           arg("pool") = py::none());
  module.def("linear_a8_kernels", [] { return listed(linear_a8_kernels()); }, kStatic);
  module.def(
      "linear_a8_kernel", [allowed](int bits) { return select(bits, allowed); }, arg("bits"),
      kStatic);
}

}  // namespace lamella
