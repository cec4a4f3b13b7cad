#include "bind/float_ops.h"

#include <pybind11/numpy.h>

#include <cmath>
#include <string>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/softmax/softmax.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float>;

// A matrix of rows: every axis but the last counts rows.
struct Matrix {
  std::size_t rows;
  std::size_t cols;
};

Matrix matrix_of(const Floats& x) {
  if (x.ndim() == 0) throw py::value_error("x must have at least one axis, but it is a scalar");
  Matrix matrix{1, static_cast<std::size_t>(x.shape(x.ndim() - 1))};
  for (py::ssize_t axis = 0; axis + 1 < x.ndim(); ++axis) {
    matrix.rows *= static_cast<std::size_t>(x.shape(axis));
  }
  if (matrix.cols > std::size_t{1} << 24) {
    throw py::value_error("rows must have at most 2^24 columns, not " +
                          std::to_string(matrix.cols));
  }
  return matrix;
}

float checked_eps(float eps) {
  if (eps >= 0.0f && std::isfinite(eps)) return eps;
  throw py::value_error("eps must be finite and not negative, but it is " + std::to_string(eps));
}

Floats softmax(const SoftmaxKernel& kernel, const py::array& x) {
  check_runs(kernel);
  const Floats in = checked<float>(x, "x");
  const Matrix matrix = matrix_of(in);
  Floats out(shape_of(in));
  const float* from = in.data();
  float* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  kernel.run(matrix.rows, matrix.cols, from, to);
  return out;
}

Floats rmsnorm(const RmsnormKernel& kernel, const py::array& x, const py::array& weight,
               float eps) {
  check_runs(kernel);
  const Floats in = checked<float>(x, "x");
  const Floats scale = checked<float>(weight, "weight");
  const Matrix matrix = matrix_of(in);
  check_shape(scale, "weight", {in.shape(in.ndim() - 1)});
  const RmsnormParameters parameters{scale.data(), checked_eps(eps)};
  Floats out(shape_of(in));
  const float* from = in.data();
  float* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  kernel.run(matrix.rows, matrix.cols, from, parameters, to);
  return out;
}

Floats layernorm(const LayernormKernel& kernel, const py::array& x, const py::array& weight,
                 const py::array& bias, float eps) {
  check_runs(kernel);
  const Floats in = checked<float>(x, "x");
  const Floats scale = checked<float>(weight, "weight");
  const Floats offset = checked<float>(bias, "bias");
  const Matrix matrix = matrix_of(in);
  check_shape(scale, "weight", {in.shape(in.ndim() - 1)});
  check_shape(offset, "bias", {in.shape(in.ndim() - 1)});
  const LayernormParameters parameters{scale.data(), offset.data(), checked_eps(eps)};
  Floats out(shape_of(in));
  const float* from = in.data();
  float* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  kernel.run(matrix.rows, matrix.cols, from, parameters, to);
  return out;
}

void check_positions(const py::array_t<std::int32_t>& position, py::ssize_t length) {
  for (py::ssize_t token = 0; token < position.size(); ++token) {
    const std::int32_t at = position.data()[token];
    if (at >= 0 && at < length) continue;
    throw py::value_error("the position " + std::to_string(at) + " of token " +
                          std::to_string(token) + " is outside the tables, which hold " +
                          std::to_string(length));
  }
}

Floats rope(const RopeKernel& kernel, const py::array& x, const py::array& cosine,
            const py::array& sine, const py::array& position) {
  check_runs(kernel);
  const Floats in = checked<float>(x, "x");
  const Floats cosines = checked<float>(cosine, "cosine");
  const Floats sines = checked<float>(sine, "sine");
  const auto positions = checked<std::int32_t>(position, "position");
  if (in.ndim() != 3 || in.shape(2) % 2 != 0) {
    throw py::value_error("x must have the shape (tokens, heads, 2 * half), not " +
                          shape_text(shape_of(in)));
  }
  const py::ssize_t length = cosines.ndim() == 0 ? 0 : cosines.shape(0);
  check_shape(cosines, "cosine", {length, in.shape(2) / 2});
  check_shape(sines, "sine", shape_of(cosines));
  check_shape(positions, "position", {in.shape(0)});
  check_positions(positions, length);
  const RopeShape shape{static_cast<std::size_t>(in.shape(0)),
                        static_cast<std::size_t>(in.shape(1)),
                        static_cast<std::size_t>(in.shape(2)) / 2};
  const RopeTables tables{cosines.data(), sines.data(), positions.data()};
  Floats out(shape_of(in));
  const float* from = in.data();
  float* to = out.mutable_data();
  const py::gil_scoped_release unlocked;
  kernel.run(shape, from, tables, to);
  return out;
}

}  // namespace

void bind_float_ops(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_kernel(module, "softmax", "SoftmaxKernel", softmax_kernels(), softmax_select(allowed))
      .def("run", &softmax, arg("x"));
  bind_kernel(module, "rmsnorm", "RmsnormKernel", rmsnorm_kernels(), rmsnorm_select(allowed))
      .def("run", &rmsnorm, arg("x"), arg("weight"), arg("eps"));
  bind_kernel(module, "layernorm", "LayernormKernel", layernorm_kernels(),
              layernorm_select(allowed))
      .def("run", &layernorm, arg("x"), arg("weight"), arg("bias"), arg("eps"));
  bind_kernel(module, "rope", "RopeKernel", rope_kernels(), rope_select(allowed))
      .def("run", &rope, arg("x"), arg("cosine"), arg("sine"), arg("position"));
}

}  // namespace lamella
