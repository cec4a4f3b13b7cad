// The packed weights of conv2d_a8 and depthwise_a8 as NumPy arrays, and layers made of them.
#pragma once

#include "bind/epilogue.h"
#include "bind/window.h"
#include "kernels/conv2d_a8/conv2d_a8.h"
#include "kernels/depthwise_a8/depthwise_a8.h"

namespace lamella {

// Nothing is copied: the arrays are kept. `rows` counts those of all groups.
struct Conv2dArrays {
  // Raises ValueError for a size that cannot be packed, and for arrays that do not fit it.
  Conv2dArrays(std::int64_t rows, Pair kernel, std::int64_t cols, int bits, std::int64_t groups,
               const pybind11::array& codes, const pybind11::array& sum);

  std::size_t channels() const { return size.groups * size.cols; }
  RowPlaces places() const { return {rows, size.rows, size.epilogue_rows()}; }
  std::int64_t largest() const;

  std::size_t rows;
  Pair kernel;
  Conv2dSize size;
  pybind11::array codes;
  pybind11::array sum;
};

struct DepthwiseArrays {
  DepthwiseArrays(std::int64_t rows, Pair kernel, const pybind11::array& codes,
                  const pybind11::array& sum);

  std::size_t channels() const { return rows; }
  RowPlaces places() const { return {rows, rows, size.stored_channels()}; }
  std::int64_t largest() const { return static_cast<std::int64_t>(size.taps) * 255 * 128; }

  std::size_t rows;
  Pair kernel;
  DepthwiseSize size;
  pybind11::array codes;
  pybind11::array sum;
};

// A weight and what follows its sums.
template <typename Weight>
class StaticLayer {
 public:
  StaticLayer(const Weight& weight, const EpilogueArguments& arguments)
      : weight_(weight),
        epilogue_(arguments, weight.places(), static_cast<const std::int32_t*>(weight.sum.data()),
                  weight.largest()),
        zeros_(weight.channels(), epilogue_.input_zero()) {}

  const Weight& weight() const { return weight_; }
  const EpilogueArrays& epilogue() const { return epilogue_; }
  const std::uint8_t* zeros() const { return zeros_.data(); }

 private:
  Weight weight_;
  EpilogueArrays epilogue_;
  std::vector<std::uint8_t> zeros_;
};

// Adds Conv2dWeight, DepthwiseWeight, pack_conv2d(), pack_depthwise(), Conv2dLayer, DepthwiseLayer.
void bind_static_weights(pybind11::module_& module);

}  // namespace lamella
