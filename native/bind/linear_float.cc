#include "bind/linear_float.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "bind/activation.h"
#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/linear_weight.h"
#include "bind/threads.h"
#include "kernels/linear_float/linear_float.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style>;
using OptionalArray = std::optional<py::array>;

constexpr const char* kKinds[] = {"f32", "f16", "w4", "w8"};

// The number of a name, in the order of the C++ enumeration.
template <std::size_t kSize>
int number_of(const std::string& wanted, const char* what, const char* const (&names)[kSize]) {
  std::string listed;
  for (std::size_t i = 0; i < kSize; ++i) {
    if (wanted == names[i]) return static_cast<int>(i);
    listed += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  throw py::value_error(std::string(what) + " must be one of " + listed + ", not " + wanted);
}

bool is_half(const py::array& values) { return values.dtype().equal(py::dtype("float16")); }

// Holds the array that a FloatWeight points into; nothing is copied.
struct FloatArray {
  std::size_t rows;
  std::size_t cols;
  py::array values;
};

FloatArray make_weight(std::int64_t rows, const py::array& values) {
  const std::size_t count = checked_size(rows, "rows", 0);
  check_dimensions(values, "values", 3);
  const auto cols = static_cast<std::size_t>(values.shape(1));
  const py::dtype dtype = is_half(values) ? values.dtype() : py::dtype::of<float>();
  check_array(values, "values", dtype, {strips_of(count), cols, kStripRows});
  return {count, cols, values};
}

FloatArray pack_float(const py::array& weight) {
  check_dimensions(weight, "weight", 2);
  const auto rows = static_cast<std::size_t>(weight.shape(0));
  const auto cols = static_cast<std::size_t>(weight.shape(1));
  const py::dtype dtype = is_half(weight) ? weight.dtype() : py::dtype::of<float>();
  check_array(weight, "weight", dtype, {rows, cols});
  py::array packed(dtype, std::vector<std::size_t>{strips_of(rows), cols, kStripRows});
  if (is_half(weight)) {
    pack_grids(rows, cols, static_cast<const std::uint16_t*>(weight.data()),
               static_cast<std::uint16_t*>(packed.mutable_data()));
  } else {
    pack_grids(rows, cols, static_cast<const float*>(weight.data()),
               static_cast<float*>(packed.mutable_data()));
  }
  return {rows, cols, packed};
}

FloatKind kind_of(const FloatArray& weight) {
  return is_half(weight.values) ? FloatKind::kF16 : FloatKind::kF32;
}

FloatKind kind_of(const LinearArrays& weight) {
  if (weight.size().bits == 4) return FloatKind::kW4;
  if (weight.size().bits == 8) return FloatKind::kW8;
  throw py::value_error("a weight of " + std::to_string(weight.size().bits) +
                        " bits has no kernel for float32 activations; pack 4 or 8 bits");
}

FloatWeight view_of(const FloatArray& weight) {
  FloatWeight view{weight.rows, weight.cols, nullptr, nullptr, nullptr};
  if (is_half(weight.values)) {
    view.halves = static_cast<const std::uint16_t*>(weight.values.data());
  } else {
    view.floats = static_cast<const float*>(weight.values.data());
  }
  return view;
}

// What a call takes beside the weight.
struct Inputs {
  py::array x;
  OptionalArray bias;
  std::string activation;
  ThreadPool* pool;
};

Floats run_view(const LinearFloatKernel& kernel, FloatKind kind, const FloatWeight& weight,
                const Inputs& inputs) {
  check_runs(kernel);
  if (kind != kernel.kind) {
    throw py::value_error(std::string(kernel.name) + " cannot run a weight of the kind " +
                          kKinds[static_cast<int>(kind)]);
  }
  check_dimensions(inputs.x, "x", 2);
  const auto tokens = static_cast<std::size_t>(inputs.x.shape(0));
  check_array(inputs.x, "x", py::dtype::of<float>(), {tokens, weight.cols});
  const float* bias = nullptr;
  if (inputs.bias) {
    check_array(*inputs.bias, "bias", py::dtype::of<float>(), {weight.rows});
    bias = static_cast<const float*>(inputs.bias->data());
  }
  const Activation after = checked_activation(inputs.activation);
  Floats y(std::vector<std::size_t>{tokens, weight.rows});
  const LinearFloatCall call{weight, tokens, static_cast<const float*>(inputs.x.data()),
                             bias,   after,  y.mutable_data()};
  const py::gil_scoped_release unlocked;
  run_slices(inputs.pool, strips_of(weight.rows), [&](Slice strips) { kernel.run(call, strips); });
  return y;
}

Floats run_floats(const LinearFloatKernel& kernel, const FloatArray& weight, const py::array& x,
                  const OptionalArray& bias, const std::string& activation, ThreadPool* pool) {
  return run_view(kernel, kind_of(weight), view_of(weight), {x, bias, activation, pool});
}

Floats run_codes(const LinearFloatKernel& kernel, const LinearArrays& weight, const py::array& x,
                 const OptionalArray& bias, const std::string& activation, ThreadPool* pool) {
  const LinearWeight codes = weight.view();
  const FloatWeight view{codes.rows, codes.cols, nullptr, nullptr, &codes};
  return run_view(kernel, kind_of(weight), view, {x, bias, activation, pool});
}

}  // namespace

void bind_linear_float(py::module_& module, IsaSet allowed) {
  using py::arg;
  py::class_<FloatArray>(module, "FloatWeight")
      .def(py::init(&make_weight), arg("rows"), arg("values"))
      .def_readonly("rows", &FloatArray::rows)
      .def_readonly("cols", &FloatArray::cols)
      .def_readonly("values", &FloatArray::values);
  module.def("pack_float", &pack_float, arg("weight"));
  bind_kernels(module, "linear_float", "LinearFloatKernel", linear_float_kernels())
      .def_property_readonly(
          "kind",
          [](const LinearFloatKernel& kernel) { return kKinds[static_cast<int>(kernel.kind)]; })
      .def("run", &run_floats, arg("weight"), arg("x"), arg("bias") = py::none(),
           arg("activation") = "none", arg("pool") = py::none())
      .def("run", &run_codes, arg("weight"), arg("x"), arg("bias") = py::none(),
           arg("activation") = "none", arg("pool") = py::none());
  module.def(
      "linear_float_kernel",
      [allowed](const std::string& kind) {
        return &linear_float_select(static_cast<FloatKind>(number_of(kind, "kind", kKinds)),
                                    allowed);
      },
      arg("kind"), py::return_value_policy::reference);
}

}  // namespace lamella
