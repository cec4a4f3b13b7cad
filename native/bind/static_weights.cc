#include "bind/static_weights.h"

#include <pybind11/stl.h>

#include <limits>
#include <string>

#include "bind/arrays.h"

namespace lamella {
namespace {

namespace py = pybind11;

std::size_t checked_taps(Pair kernel) {
  const std::size_t height = checked_size(kernel[0], "the height of the kernel", 1);
  const std::size_t width = checked_size(kernel[1], "the width of the kernel", 1);
  if (height <= kMostTaps && width <= kMostTaps && height * width <= kMostTaps) {
    return height * width;
  }
  throw py::value_error("a kernel may have at most " + std::to_string(kMostTaps) + " taps, not " +
                        std::to_string(height) + " x " + std::to_string(width));
}

Conv2dSize checked_conv2d(std::int64_t rows, Pair kernel, std::int64_t cols, int bits,
                          std::int64_t groups) {
  Conv2dSize size{};
  size.groups = checked_size(groups, "groups", 1);
  size.rows = checked_size(rows, "rows", 1) / size.groups;
  size.taps = checked_taps(kernel);
  size.cols = checked_size(cols, "the channels of a group", 1);
  size.bits = bits;
  if (rows % groups != 0) {
    throw py::value_error(std::to_string(rows) + " rows cannot be split into " +
                          std::to_string(groups) + " groups");
  }
  if (bits != 4 && bits != 6 && bits != 8) {
    throw py::value_error("bits must be 4, 6 or 8, not " + std::to_string(bits));
  }
  const std::size_t most = std::numeric_limits<std::int32_t>::max() / 255 >> (bits - 1);
  if (size.cols > most / size.taps) {
    throw py::value_error("sums of " + std::to_string(size.taps) + " x " + std::to_string(cols) +
                          " products may not fit 32 bits; use at most " + std::to_string(most));
  }
  return size;
}

template <typename Item>
py::array_t<Item> empty_array(const Extents& shape) {
  return py::array_t<Item>(std::vector<py::ssize_t>(shape.begin(), shape.end()));
}

Conv2dArrays pack_conv2d_codes(const py::array& codes, int bits, std::int64_t groups) {
  check_dimensions(codes, "codes", 4);
  check_kind(codes, "codes", py::dtype::of<std::uint8_t>());
  const Pair kernel{codes.shape(1), codes.shape(2)};
  const Conv2dSize size = checked_conv2d(codes.shape(0), kernel, codes.shape(3), bits, groups);
  check_codes(codes, "codes", bits);
  auto tiles =
      empty_array<std::uint8_t>({size.strips(), size.taps, blocks_of(size.cols), tile_bytes(bits)});
  auto sum = empty_array<std::int32_t>({size.epilogue_rows()});
  const auto* from = static_cast<const std::uint8_t*>(codes.data());
  std::uint8_t* to = tiles.mutable_data();
  std::int32_t* sums = sum.mutable_data();
  {
    const py::gil_scoped_release unlocked;
    pack_conv2d(size, from, to, sums);
  }
  return Conv2dArrays(codes.shape(0), kernel, codes.shape(3), bits, groups, tiles, sum);
}

DepthwiseSize checked_depthwise(std::int64_t rows, Pair kernel) {
  return {checked_size(rows, "rows", 1), checked_taps(kernel)};
}

DepthwiseArrays pack_depthwise_codes(const py::array& codes) {
  check_dimensions(codes, "codes", 3);
  check_kind(codes, "codes", py::dtype::of<std::uint8_t>());
  const Pair kernel{codes.shape(1), codes.shape(2)};
  const DepthwiseSize size = checked_depthwise(codes.shape(0), kernel);
  auto weights = empty_array<std::int8_t>({size.pairs(), size.stored_channels(), 2});
  auto sum = empty_array<std::int32_t>({size.stored_channels()});
  pack_depthwise(size, static_cast<const std::uint8_t*>(codes.data()), weights.mutable_data(),
                 sum.mutable_data());
  return DepthwiseArrays(codes.shape(0), kernel, weights, sum);
}

template <typename Item>
py::array copy_of(const EpilogueArrays& arrays, const Item* items) {
  return py::array_t<Item>(static_cast<py::ssize_t>(arrays.stored()), items);
}

// What a program of the engine stores of a layer beside its weight.
template <typename Weight>
void bind_epilogue(py::class_<StaticLayer<Weight>>& layer_class) {
  using Layer = StaticLayer<Weight>;
  const auto view = [](const Layer& layer) { return layer.epilogue().view(); };
  layer_class
      .def_property_readonly(
          "offset", [=](const Layer& self) { return copy_of(self.epilogue(), view(self).offset); })
      .def_property_readonly(
          "step", [=](const Layer& self) { return copy_of(self.epilogue(), view(self).step); })
      .def_property_readonly(
          "bias", [=](const Layer& self) { return copy_of(self.epilogue(), view(self).bias); })
      .def_property_readonly("integers",
                             [=](const Layer& self) {
                               const Epilogue& one = view(self);
                               return py::make_tuple(self.epilogue().input_zero(), one.zero,
                                                     one.residual_zero,
                                                     static_cast<int>(one.activation));
                             })
      .def_property_readonly("numbers", [=](const Layer& self) {
        const Epilogue& one = view(self);
        return py::make_tuple(one.low, one.high, one.residual_step, one.unit);
      });
}

template <typename Weight>
void bind_layer(py::module_& module, const char* name) {
  using py::arg;
  const auto make = [](const Weight& weight, GridPair input, const py::array& scale,
                       const std::optional<py::array>& bias, std::optional<GridPair> output,
                       std::optional<GridPair> residual, std::optional<double> low,
                       std::optional<double> high, const std::string& activation) {
    return std::make_unique<StaticLayer<Weight>>(
        weight, EpilogueArguments{input, scale, bias, output, residual, low, high, activation});
  };
  py::class_<StaticLayer<Weight>> layer_class(module, name);
  layer_class
      .def(py::init(make), arg("weight"), py::kw_only(), arg("input"), arg("scale"),
           arg("bias") = py::none(), arg("output") = py::none(), arg("residual") = py::none(),
           arg("low") = py::none(), arg("high") = py::none(), arg("activation") = "none")
      .def_property_readonly("weight", &StaticLayer<Weight>::weight);
  bind_epilogue(layer_class);
}

}  // namespace

Conv2dArrays::Conv2dArrays(std::int64_t rows, Pair kernel, std::int64_t cols, int bits,
                           std::int64_t groups, const py::array& codes, const py::array& sum)
    : rows(static_cast<std::size_t>(rows)),
      kernel(kernel),
      size(checked_conv2d(rows, kernel, cols, bits, groups)),
      codes(codes),
      sum(sum) {
  check_array(codes, "codes", py::dtype::of<std::uint8_t>(),
              {size.strips(), size.taps, blocks_of(size.cols), tile_bytes(bits)});
  check_array(sum, "sum", py::dtype::of<std::int32_t>(), {size.epilogue_rows()});
}

std::int64_t Conv2dArrays::largest() const {
  return static_cast<std::int64_t>(size.taps * size.cols) * 255 << (size.bits - 1);
}

DepthwiseArrays::DepthwiseArrays(std::int64_t rows, Pair kernel, const py::array& codes,
                                 const py::array& sum)
    : rows(static_cast<std::size_t>(rows)),
      kernel(kernel),
      size(checked_depthwise(rows, kernel)),
      codes(codes),
      sum(sum) {
  check_array(codes, "codes", py::dtype::of<std::int8_t>(),
              {size.pairs(), size.stored_channels(), 2});
  check_array(sum, "sum", py::dtype::of<std::int32_t>(), {size.stored_channels()});
}

void bind_static_weights(py::module_& module) {
  using py::arg;
  py::class_<Conv2dArrays>(module, "Conv2dWeight")
      .def(py::init<std::int64_t, Pair, std::int64_t, int, std::int64_t, const py::array&,
                    const py::array&>(),
           arg("rows"), arg("kernel"), arg("cols"), arg("bits"), arg("groups"), arg("codes"),
           arg("sum"))
      .def_readonly("rows", &Conv2dArrays::rows)
      .def_property_readonly(
          "kernel",
          [](const Conv2dArrays& self) { return py::make_tuple(self.kernel[0], self.kernel[1]); })
      .def_property_readonly("cols", [](const Conv2dArrays& self) { return self.size.cols; })
      .def_property_readonly("bits", [](const Conv2dArrays& self) { return self.size.bits; })
      .def_property_readonly("groups", [](const Conv2dArrays& self) { return self.size.groups; })
      .def_readonly("codes", &Conv2dArrays::codes)
      .def_readonly("sum", &Conv2dArrays::sum);
  py::class_<DepthwiseArrays>(module, "DepthwiseWeight")
      .def(py::init<std::int64_t, Pair, const py::array&, const py::array&>(), arg("rows"),
           arg("kernel"), arg("codes"), arg("sum"))
      .def_readonly("rows", &DepthwiseArrays::rows)
      .def_property_readonly("kernel",
                             [](const DepthwiseArrays& self) {
                               return py::make_tuple(self.kernel[0], self.kernel[1]);
                             })
      .def_readonly("codes", &DepthwiseArrays::codes)
      .def_readonly("sum", &DepthwiseArrays::sum);
  module.def("pack_conv2d", &pack_conv2d_codes, arg("codes"), arg("bits"), arg("groups") = 1);
  module.def("pack_depthwise", &pack_depthwise_codes, arg("codes"));
  bind_layer<Conv2dArrays>(module, "Conv2dLayer");
  bind_layer<DepthwiseArrays>(module, "DepthwiseLayer");
}

}  // namespace lamella
