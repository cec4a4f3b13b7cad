#include "bind/static_ops.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <string>

#include "bind/arrays.h"
#include "bind/kernels.h"
#include "bind/static_weights.h"
#include "bind/threads.h"
#include "bind/window.h"

namespace lamella {
namespace {

namespace py = pybind11;

// Positions that threads may split: as many as the kernels compute at once.
constexpr std::size_t kPositionBlock = 8;

// How the kernel of a layer moves: as `window` says, or by 1 and without padding.
WindowSizes checked_window(const WindowSizes* window, const Pair& kernel) {
  if (window == nullptr) return {kernel};
  if (window->kernel == kernel) return *window;
  const auto text = [](const Pair& sizes) {
    return std::to_string(sizes[0]) + " x " + std::to_string(sizes[1]);
  };
  throw py::value_error("the kernel of the window must be that of the layer, " + text(kernel) +
                        ", not " + text(window->kernel));
}

// The shape of the input as (batch, height, width, channels); a row of a matrix is one pixel.
Extents checked_input(const py::array& x, std::size_t channels) {
  if (x.ndim() != 2) check_dimensions(x, "x", 4);
  Extents shape(x.shape(), x.shape() + x.ndim());
  Extents wanted = shape;
  wanted.back() = channels;
  check_array(x, "x", py::dtype::of<std::uint8_t>(), wanted);
  if (shape.size() == 2) return {shape[0], 1, 1, shape[1]};
  return shape;
}

const std::uint8_t* checked_residual(const std::optional<py::array>& residual, bool wanted,
                                     const Extents& shape) {
  if (residual.has_value() != wanted) {
    throw py::value_error(wanted ? "the layer adds a residual, but none is given"
                                 : "a residual is given, but the layer has no grid for it");
  }
  if (!residual) return nullptr;
  check_array(*residual, "residual", py::dtype::of<std::uint8_t>(), shape);
  return static_cast<const std::uint8_t*>(residual->data());
}

// What a kernel needs, checked, and the array that it fills.
struct Prepared {
  Window window;
  Source input;
  Finished output;
  py::array y;
};

template <typename Weight>
Prepared prepare(const StaticLayer<Weight>& layer, const py::array& x,
                 const std::optional<py::array>& residual, const WindowSizes* sizes) {
  const Weight& weight = layer.weight();
  const Extents image = checked_input(x, weight.channels());
  Prepared prepared{};
  prepared.window = window_over(checked_window(sizes, weight.kernel), image[0], image[1], image[2]);
  const Window& window = prepared.window;
  Extents shape{window.images, window.y.out, window.x.out, weight.rows};
  if (x.ndim() == 2) {
    if (window.y.out * window.x.out != 1) {
      throw py::value_error("padding is for images; pass x with 4 dimensions, not with 2");
    }
    shape = {window.images, weight.rows};
  }
  const Epilogue& epilogue = layer.epilogue().view();
  prepared.y = py::array(epilogue.codes ? py::dtype::of<std::uint8_t>() : py::dtype::of<float>(),
                         std::vector<py::ssize_t>(shape.begin(), shape.end()));
  prepared.input = {static_cast<const std::uint8_t*>(x.data()), layer.zeros(), weight.channels()};
  prepared.output = {checked_residual(residual, layer.epilogue().has_residual(), shape),
                     prepared.y.mutable_data()};
  return prepared;
}

py::array run_conv2d(const Conv2dKernel& kernel, const StaticLayer<Conv2dArrays>& layer,
                     const py::array& x, const std::optional<py::array>& residual,
                     const WindowSizes* window, ThreadPool* pool) {
  check_runs(kernel);
  const Conv2dArrays& arrays = layer.weight();
  if (arrays.size.bits != kernel.bits) {
    throw py::value_error(std::string(kernel.name) + " cannot run a weight of " +
                          std::to_string(arrays.size.bits) + " bits");
  }
  const Prepared prepared = prepare(layer, x, residual, window);
  const Conv2dWeight weight{arrays.size, static_cast<const std::uint8_t*>(arrays.codes.data())};
  const Conv2dCall call{weight, prepared.window, layer.epilogue().view(), prepared.input,
                        prepared.output};
  const std::size_t positions = prepared.window.positions();
  const std::size_t blocks = (positions + kPositionBlock - 1) / kPositionBlock;
  const std::size_t strips = arrays.size.strips();
  {
    const py::gil_scoped_release unlocked;
    if (pool != nullptr && blocks < pool->threads()) {
      pool->run(strips, [&](Slice slice) { kernel.run(call, {0, positions}, slice); });
    } else {
      run_slices(pool, blocks, [&](Slice slice) {
        const Slice some{slice.begin * kPositionBlock,
                         std::min(slice.end * kPositionBlock, positions)};
        kernel.run(call, some, {0, strips});
      });
    }
  }
  return prepared.y;
}

py::array run_depthwise(const DepthwiseKernel& kernel, const StaticLayer<DepthwiseArrays>& layer,
                        const py::array& x, const std::optional<py::array>& residual,
                        const WindowSizes* window, ThreadPool* pool) {
  check_runs(kernel);
  const DepthwiseArrays& arrays = layer.weight();
  const Prepared prepared = prepare(layer, x, residual, window);
  const DepthwiseWeight weight{arrays.size, static_cast<const std::int8_t*>(arrays.codes.data())};
  const DepthwiseCall call{weight, prepared.window, layer.epilogue().view(), prepared.input,
                           prepared.output};
  {
    const py::gil_scoped_release unlocked;
    run_slices(pool, prepared.window.positions(), [&](Slice slice) { kernel.run(call, slice); });
  }
  return prepared.y;
}

const Conv2dKernel* select(int bits, IsaSet allowed) {
  if (bits == 4 || bits == 6 || bits == 8) return &conv2d_a8_select(bits, allowed);
  throw py::value_error("bits must be 4, 6 or 8, not " + std::to_string(bits));
}

}  // namespace

void bind_static_ops(py::module_& module, IsaSet allowed) {
  using py::arg;
  bind_static_weights(module);
  bind_kernels(module, "conv2d_a8", "Conv2dKernel", conv2d_a8_kernels())
      .def_property_readonly("bits", [](const Conv2dKernel& kernel) { return kernel.bits; })
      .def("run", &run_conv2d, arg("layer"), arg("x"), arg("residual") = py::none(), py::kw_only(),
           arg("window") = py::none(), arg("pool") = py::none());
  module.def(
      "conv2d_a8_kernel", [allowed](int bits) { return select(bits, allowed); }, arg("bits"),
      py::return_value_policy::reference);
  bind_kernel(module, "depthwise_a8", "DepthwiseKernel", depthwise_a8_kernels(),
              depthwise_a8_select(allowed))
      .def("run", &run_depthwise, arg("layer"), arg("x"), arg("residual") = py::none(),
           py::kw_only(), arg("window") = py::none(), arg("pool") = py::none());
}

}  // namespace lamella
