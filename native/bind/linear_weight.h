// A packed weight of linear_w<bits>a8 as NumPy arrays.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>

#include "kernels/linear_a8/linear_a8.h"

namespace lamella {

// The numbers of a weight; `group` is 0 where a row has one scale.
struct LinearSize {
  std::int64_t rows;
  std::int64_t cols;
  int bits;
  std::int64_t group;
};

// Raises ValueError for a size that no format has, and for scales and zero points that do not fit
// it.
void check_grids(const LinearSize& size, const pybind11::array& scale,
                 const std::optional<pybind11::array>& zero);

// A weight without codes; valid for as long as the arrays are.
LinearWeight view_of_grids(const LinearSize& size, const pybind11::array& scale,
                           const std::optional<pybind11::array>& zero);

// Holds the arrays that a LinearWeight points into; nothing is copied.
class LinearArrays {
 public:
  // Raises ValueError for a size that no format has, and for arrays that do not fit it.
  LinearArrays(const LinearSize& size, const pybind11::array& codes, const pybind11::array& scale,
               const std::optional<pybind11::array>& zero);

  const LinearSize& size() const { return size_; }
  const pybind11::array& codes() const { return codes_; }
  const pybind11::array& scale() const { return scale_; }
  const std::optional<pybind11::array>& zero() const { return zero_; }

  // Valid for as long as this object is.
  LinearWeight view() const;

 private:
  LinearSize size_;
  pybind11::array codes_;
  pybind11::array scale_;
  std::optional<pybind11::array> zero_;
};

// Adds LinearWeight and pack_linear().
void bind_linear_weight(pybind11::module_& module);

}  // namespace lamella
