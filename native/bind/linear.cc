#include "bind/linear.h"

#include <pybind11/numpy.h>

#include <string>
#include <vector>

#include "base/formats.h"
#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/linear_weight.h"
#include "bind/threads.h"
#include "kernels/linear_a8/linear_a8.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float>;

py::tuple run_input(const LinearInputKernel& kernel, const py::array& x) {
  check_runs(kernel);
  const Floats in = checked<float>(x, "x");
  check_dimensions(in, "x", 2);
  const py::ssize_t tokens = in.shape(0);
  const auto cols = static_cast<std::size_t>(in.shape(1));
  const auto blocks = static_cast<py::ssize_t>(blocks_of(cols));
  py::array_t<std::int8_t> codes({tokens, static_cast<py::ssize_t>(token_bytes(cols))});
  std::fill_n(codes.mutable_data(), codes.size(), std::int8_t{0});
  Floats scale({blocks, tokens});
  py::array_t<std::int32_t> sum({blocks, tokens});
  py::array_t<std::int32_t> half_sum({blocks, tokens});
  const LinearInput input{static_cast<std::size_t>(tokens),
                          cols,
                          codes.mutable_data(),
                          scale.mutable_data(),
                          sum.mutable_data(),
                          half_sum.mutable_data()};
  const float* from = in.data();
  {
    const py::gil_scoped_release unlocked;
    kernel.run(from, input, {0, input.tokens});
  }
  return py::make_tuple(codes, scale, sum, half_sum);
}

py::array run_linear(const LinearKernel& kernel, const LinearArrays& weight, const py::array& x,
                     const std::optional<py::array>& bias, ThreadPool* pool) {
  return run_linear_view(kernel, weight.view(), {x, bias, pool});
}

const LinearKernel* select(int bits, IsaSet allowed) {
  if (bits != 1 && packs(bits)) return &linear_a8_select(bits, allowed);
  throw py::value_error("bits must be 2, 3, 4, 5, 6 or 8, not " + std::to_string(bits));
}

}  // namespace

py::array run_linear_view(const LinearKernel& kernel, const LinearWeight& weight,
                          const LinearArguments& arguments) {
  check_runs(kernel);
  if (weight.bits != kernel.bits) {
    throw py::value_error(std::string(kernel.name) + " cannot run a weight of " +
                          std::to_string(weight.bits) + " bits");
  }
  const Floats in = checked<float>(arguments.x, "x");
  check_dimensions(in, "x", 2);
  const auto tokens = static_cast<std::size_t>(in.shape(0));
  check_array(in, "x", py::dtype::of<float>(), {tokens, weight.cols});
  const float* added = nullptr;
  if (arguments.bias) {
    check_array(*arguments.bias, "bias", py::dtype::of<float>(), {weight.rows});
    added = static_cast<const float*>(arguments.bias->data());
  }
  Floats y({in.shape(0), static_cast<py::ssize_t>(weight.rows)});
  const float* from = in.data();
  float* to = y.mutable_data();
  const py::gil_scoped_release unlocked;
  std::vector<std::int8_t> codes(tokens * token_bytes(weight.cols));
  std::vector<float> scale(tokens * blocks_of(weight.cols));
  std::vector<std::int32_t> sum(scale.size());
  std::vector<std::int32_t> half_sum(weight.halved() ? scale.size() : 0);
  const LinearInput input{tokens,       weight.cols, codes.data(),
                          scale.data(), sum.data(),  weight.halved() ? half_sum.data() : nullptr};
  const LinearInputFn quantize = linear_input_select(kernel.needs).run;
  run_slices(arguments.pool, tokens, [&](Slice slice) { quantize(from, input, slice); });
  const LinearCall call{weight, input, added, to};
  run_slices(arguments.pool, strips_of(weight.rows), [&](Slice slice) { kernel.run(call, slice); });
  return y;
}

void bind_linear(py::module_& module, IsaSet allowed) {
  using py::arg;
  constexpr auto kStatic = py::return_value_policy::reference;
  bind_linear_weight(module);
  bind_kernel(module, "linear_input", "LinearInputKernel", linear_input_kernels(),
              linear_input_select(allowed))
      .def("run", &run_input, arg("x"));
  bind_kernels(module, "linear_a8", "LinearKernel", linear_a8_kernels())
      .def_property_readonly("bits", [](const LinearKernel& kernel) { return kernel.bits; })
      .def("run", &run_linear, arg("weight"), arg("x"), arg("bias") = py::none(),
           arg("pool") = py::none());
  module.def(
      "linear_a8_kernel", [allowed](int bits) { return select(bits, allowed); }, arg("bits"),
      kStatic);
}

}  // namespace lamella
