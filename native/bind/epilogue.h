// The parameters of kernels/static/epilogue.h, computed from grids, scales and a bias.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/static/epilogue.h"

namespace lamella {

// A grid as Python gives it: scale and zero point.
using GridPair = std::pair<double, std::int64_t>;

// `output` is empty for float32, `residual` where there is none; `low` and `high` are real numbers
// for float32 and codes otherwise.
struct EpilogueArguments {
  GridPair input;
  pybind11::array scale;
  std::optional<pybind11::array> bias;
  std::optional<GridPair> output;
  std::optional<GridPair> residual;
  std::optional<double> low;
  std::optional<double> high;
  std::string activation;
};

// Where the parameters of a row lie: each group of rows begins a strip of 8.
struct RowPlaces {
  std::size_t rows;        // of all groups
  std::size_t group_rows;  // of one
  std::size_t stored;      // places, those of no row included

  std::size_t place(std::size_t row) const {
    return row / group_rows * ((group_rows + 7) / 8 * 8) + row % group_rows;
  }
};

class EpilogueArrays {
 public:
  // `largest` is a bound of the sums' magnitude without a bias; `sum` has places.stored numbers and
  // must outlive this object. Raises ValueError for arguments of the wrong kind or range.
  EpilogueArrays(const EpilogueArguments& arguments, const RowPlaces& places,
                 const std::int32_t* sum, std::int64_t largest);
  EpilogueArrays(const EpilogueArrays&) = delete;
  EpilogueArrays& operator=(const EpilogueArrays&) = delete;

  bool has_residual() const { return has_residual_; }
  std::uint8_t input_zero() const { return input_zero_; }
  // How many rows the arrays of the view have.
  std::size_t stored() const { return offset_.size(); }

  // Valid for as long as this object is.
  const Epilogue& view() const { return view_; }

 private:
  void set_offset(const EpilogueArguments& arguments, const RowPlaces& places,
                  std::int64_t largest);
  void set_bounds(const EpilogueArguments& arguments);
  void set_activation(const EpilogueArguments& arguments);

  std::vector<std::int32_t> offset_;
  std::vector<float> step_;
  std::vector<float> bias_;
  std::uint8_t input_zero_;
  bool has_residual_;
  double divisor_;  // of what belongs to rows and the residual: the output's scale, or 1
  Epilogue view_;
};

}  // namespace lamella
