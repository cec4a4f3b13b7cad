#include "bind/image_ops.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <limits>
#include <optional>
#include <string>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/threads.h"
#include "bind/window.h"
#include "kernels/conv2d_f32/conv2d_f32.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/pool2d/pool2d.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style>;
using OptionalArray = std::optional<py::array>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Raises ValueError unless x is a contiguous (images, height, width, channels) float32 array.
Window window_of(const WindowSizes& sizes, const py::array& x) {
  check_dimensions(x, "x", 4);
  const Extents shape(x.shape(), x.shape() + 4);
  check_array(x, "x", py::dtype::of<float>(), shape);
  return window_over(sizes, shape[0], shape[1], shape[2]);
}

std::size_t channels_of(const py::array& x) { return static_cast<std::size_t>(x.shape(3)); }

Floats output_of(const Window& window, std::size_t channels) {
  return Floats(std::vector<std::size_t>{window.images, window.y.out, window.x.out, channels});
}

const float* floats_of(const py::array& array) { return static_cast<const float*>(array.data()); }

// What a convolution takes beside the weight.
struct Inputs {
  const py::array& x;
  const OptionalArray& bias;
  float low;
  float high;
  ThreadPool* pool;
};

const float* checked_bias(const Inputs& inputs, std::size_t outputs) {
  if (!(inputs.low <= inputs.high)) {
    throw py::value_error("low must not be above high, but they are " + std::to_string(inputs.low) +
                          " and " + std::to_string(inputs.high));
  }
  if (!inputs.bias) return nullptr;
  check_array(*inputs.bias, "bias", py::dtype::of<float>(), {outputs});
  return floats_of(*inputs.bias);
}

// Holds the array that a call points into; nothing is copied.
struct ConvArray {
  std::size_t outputs;
  py::array values;

  std::size_t extent(py::ssize_t axis) const {
    return static_cast<std::size_t>(values.shape(axis));
  }
};

void check_groups(std::size_t outputs, std::size_t groups) {
  if (groups != 0 && outputs % groups == 0) return;
  throw py::value_error(std::to_string(outputs) + " outputs do not split into " +
                        std::to_string(groups) + " groups");
}

ConvArray make_conv_weight(std::int64_t outputs, const py::array& values) {
  const std::size_t count = checked_size(outputs, "outputs", 0);
  check_dimensions(values, "values", 6);
  Extents shape(values.shape(), values.shape() + 6);
  check_groups(count, shape[0]);
  shape[1] = strips_of(count / shape[0]);
  shape[5] = kStripRows;
  check_array(values, "values", py::dtype::of<float>(), shape);
  return {count, values};
}

ConvArray pack_conv2d_f32(const py::array& weight, std::int64_t groups) {
  check_dimensions(weight, "weight", 4);
  const Extents from(weight.shape(), weight.shape() + 4);
  check_array(weight, "weight", py::dtype::of<float>(), from);
  const std::size_t count = checked_size(groups, "groups", 1);
  check_groups(from[0], count);
  const std::size_t rows = from[0] / count, cols = from[1] * from[2] * from[3];
  Floats packed(
      std::vector<std::size_t>{count, strips_of(rows), from[1], from[2], from[3], kStripRows});
  for (std::size_t group = 0; group < count; ++group) {
    pack_grids(rows, cols, floats_of(weight) + group * rows * cols,
               packed.mutable_data() + group * strips_of(rows) * cols * kStripRows);
  }
  return {from[0], packed};
}

Floats run_conv(const Conv2dF32Kernel& kernel, const ConvArray& weight, const WindowSizes& sizes,
                const Inputs& inputs) {
  check_runs(kernel);
  const Window window = window_of(sizes, inputs.x);
  const std::size_t groups = weight.extent(0), channels = groups * weight.extent(4);
  check_array(inputs.x, "x", py::dtype::of<float>(),
              {window.images, window.y.in, window.x.in, channels});
  check_array(
      weight.values, "weight", py::dtype::of<float>(),
      {groups, weight.extent(1), window.y.kernel, window.x.kernel, weight.extent(4), kStripRows});
  const float* bias = checked_bias(inputs, weight.outputs);
  Floats y = output_of(window, weight.outputs);
  const Conv2dF32Call call{window,
                           groups,
                           channels,
                           weight.outputs,
                           floats_of(inputs.x),
                           floats_of(weight.values),
                           bias,
                           inputs.low,
                           inputs.high,
                           y.mutable_data()};
  const py::gil_scoped_release unlocked;
  run_slices(inputs.pool, window.rows(), [&](Slice rows) { kernel.run(call, rows); });
  return y;
}

Floats run_depthwise(const DepthwiseF32Kernel& kernel, const py::array& weight,
                     const WindowSizes& sizes, const Inputs& inputs) {
  check_runs(kernel);
  const Window window = window_of(sizes, inputs.x);
  const std::size_t channels = channels_of(inputs.x);
  check_array(weight, "weight", py::dtype::of<float>(),
              {window.y.kernel, window.x.kernel, channels});
  const float* bias = checked_bias(inputs, channels);
  Floats y = output_of(window, channels);
  const DepthwiseF32Call call{window, channels,   floats_of(inputs.x), floats_of(weight),
                              bias,   inputs.low, inputs.high,         y.mutable_data()};
  const py::gil_scoped_release unlocked;
  run_slices(inputs.pool, window.rows(), [&](Slice rows) { kernel.run(call, rows); });
  return y;
}

void check_has_taps(const WindowAxis& axis) {
  for (std::size_t at = 0; at < axis.out; ++at) {
    const Slice taps = axis.taps(at);
    if (taps.begin < taps.end) continue;
    throw py::value_error("the window of output " + std::to_string(at) +
                          " of an axis lies in the padding alone; use less padding");
  }
}

Floats run_pool(const PoolKernel& kernel, Pool pool, const WindowSizes& sizes, const py::array& x,
                ThreadPool* threads) {
  check_runs(kernel);
  const Window window = window_of(sizes, x);
  check_has_taps(window.y);
  check_has_taps(window.x);
  Floats y = output_of(window, channels_of(x));
  const PoolCall call{window, pool, channels_of(x), floats_of(x), y.mutable_data()};
  const py::gil_scoped_release unlocked;
  run_slices(threads, window.rows(), [&](Slice rows) { kernel.run(call, rows); });
  return y;
}

void bind_conv_weight(py::module_& module) {
  using py::arg;
  py::class_<ConvArray>(module, "Conv2dF32Weight")
      .def(py::init(&make_conv_weight), arg("outputs"), arg("values"))
      .def_readonly("outputs", &ConvArray::outputs)
      .def_readonly("values", &ConvArray::values);
  module.def("pack_conv2d_f32", &pack_conv2d_f32, arg("weight"), arg("groups") = 1);
}

// Adds run(weight, window, x, bias, low, high, pool) to the class of a convolution's kernels.
template <typename Kernel, typename Weight>
void bind_run(py::class_<Kernel>& kernel_class,
              Floats (*run)(const Kernel&, const Weight&, const WindowSizes&, const Inputs&)) {
  using py::arg;
  kernel_class.def(
      "run",
      [run](const Kernel& kernel, const Weight& weight, const WindowSizes& window,
            const py::array& x, const OptionalArray& bias, float low, float high,
            ThreadPool* pool) { return run(kernel, weight, window, {x, bias, low, high, pool}); },
      arg("weight"), arg("window"), arg("x"), arg("bias") = py::none(), arg("low") = -kInfinity,
      arg("high") = kInfinity, arg("pool") = py::none());
}

}  // namespace

void bind_image_ops(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_conv_weight(module);
  auto conv = bind_kernel(module, "conv2d_f32", "Conv2dF32Kernel", conv2d_f32_kernels(),
                          conv2d_f32_select(allowed));
  bind_run(conv, &run_conv);
  auto depthwise = bind_kernel(module, "depthwise_f32", "DepthwiseF32Kernel",
                               depthwise_f32_kernels(), depthwise_f32_select(allowed));
  bind_run(depthwise, &run_depthwise);
  const auto average = [](const PoolKernel& kernel, const WindowSizes& window, const py::array& x,
                          bool with_padding, ThreadPool* pool) {
    const Pool kind = with_padding ? Pool::kAverageWithPadding : Pool::kAverage;
    return run_pool(kernel, kind, window, x, pool);
  };
  const auto maximum = [](const PoolKernel& kernel, const WindowSizes& window, const py::array& x,
                          ThreadPool* pool) {
    return run_pool(kernel, Pool::kMaximum, window, x, pool);
  };
  bind_kernel(module, "pool2d", "PoolKernel", pool2d_kernels(), pool2d_select(allowed))
      .def("average", average, arg("window"), arg("x"), arg("with_padding") = false,
           arg("pool") = py::none())
      .def("maximum", maximum, arg("window"), arg("x"), arg("pool") = py::none());
}

}  // namespace lamella
