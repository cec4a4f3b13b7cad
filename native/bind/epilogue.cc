#include "bind/epilogue.h"

#include <cmath>
#include <limits>
#include <string>

#include "bind/activation.h"
#include "bind/arrays.h"

namespace lamella {
namespace {

namespace py = pybind11;

std::string text(double value) { return py::str(py::float_(value)).cast<std::string>(); }

void check_grid(const std::optional<GridPair>& grid, const char* name) {
  if (!grid) return;
  const auto [scale, zero] = *grid;
  if (!(scale > 0) || !std::isfinite(scale)) {
    throw py::value_error("the scale of " + std::string(name) +
                          " must be positive and finite, not " + text(scale));
  }
  if (zero < 0 || zero > 255) {
    throw py::value_error("the zero point of " + std::string(name) + " must be 0 to 255, not " +
                          std::to_string(zero));
  }
}

// Rounded to float32. Raises ValueError if it is not finite.
float folded(double value, const char* name, std::size_t row) {
  const auto rounded = static_cast<float>(value);
  if (std::isfinite(rounded)) return rounded;
  throw py::value_error("the " + std::string(name) + " of row " + std::to_string(row) +
                        " in units of the output is " + text(value) +
                        ", which float32 cannot hold; check the scales");
}

double bound(const std::optional<double>& given, double otherwise, const char* name, bool codes) {
  const double value = given.value_or(otherwise);
  const bool fits =
      codes ? value >= 0 && value <= 255 && value == std::floor(value) : !std::isnan(value);
  if (fits) return value;
  throw py::value_error(std::string(name) + " must be " +
                        (codes ? "a code, 0 to 255" : "a number") + ", not " + text(value));
}

}  // namespace

EpilogueArrays::EpilogueArrays(const EpilogueArguments& arguments, const RowPlaces& places,
                               const std::int32_t* sum, std::int64_t largest)
    : offset_(places.stored),
      step_(places.stored),
      bias_(places.stored),
      has_residual_(arguments.residual.has_value()),
      divisor_(1.0),
      view_() {
  check_grid(arguments.input, "the input");
  check_grid(arguments.output, "the output");
  check_grid(arguments.residual, "the residual");
  check_array(arguments.scale, "scale", py::dtype::of<float>(), {places.rows});
  input_zero_ = static_cast<std::uint8_t>(arguments.input.second);
  set_activation(arguments);
  const auto* scale = static_cast<const float*>(arguments.scale.data());
  for (std::size_t row = 0; row < places.rows; ++row) {
    step_[places.place(row)] = folded(arguments.input.first * scale[row] / divisor_, "scale", row);
  }
  view_.sum = sum;
  set_offset(arguments, places, largest);
  set_bounds(arguments);
  if (!arguments.residual) return;
  view_.residual_step = folded(arguments.residual->first / divisor_, "residual's scale", 0);
  view_.residual_zero = static_cast<std::int32_t>(arguments.residual->second);
}

void EpilogueArrays::set_offset(const EpilogueArguments& arguments, const RowPlaces& places,
                                std::int64_t largest) {
  const bool whole = arguments.bias && arguments.bias->dtype().equal(py::dtype::of<std::int32_t>());
  if (arguments.bias) {
    const py::dtype dtype = whole ? py::dtype::of<std::int32_t>() : py::dtype::of<float>();
    check_array(*arguments.bias, "bias", dtype, {places.rows});
  }
  for (std::size_t row = 0; row < places.rows; ++row) {
    const std::size_t place = places.place(row);
    std::int64_t added = 0;
    if (whole) {
      added = static_cast<const std::int32_t*>(arguments.bias->data())[row];
    } else if (arguments.bias) {
      const double real = static_cast<const float*>(arguments.bias->data())[row];
      bias_[place] = folded(real / divisor_, "bias", row);
    }
    if (largest + std::abs(added) > std::numeric_limits<std::int32_t>::max()) {
      throw py::value_error("row " + std::to_string(row) + " has the bias " +
                            std::to_string(added) + " and sums up to " + std::to_string(largest) +
                            ", which may not fit 32 bits; pass the bias as float32");
    }
    const std::int64_t sum = view_.sum[place];
    if (std::abs(sum) > largest / 255) {
      throw py::value_error("row " + std::to_string(row) + " cannot have weights of the sum " +
                            std::to_string(sum) + "; pack the weight again");
    }
    offset_[place] = static_cast<std::int32_t>(added - input_zero_ * sum);
  }
  view_.offset = offset_.data();
  view_.step = step_.data();
  view_.bias = bias_.data();
}

void EpilogueArrays::set_bounds(const EpilogueArguments& arguments) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool codes = arguments.output.has_value();
  const double low = bound(arguments.low, codes ? 0 : -kInfinity, "low", codes);
  const double high = bound(arguments.high, codes ? 255 : kInfinity, "high", codes);
  if (low > high) {
    throw py::value_error("low must be at most high, but they are " + text(low) + " and " +
                          text(high));
  }
  view_.codes = codes;
  view_.zero = codes ? static_cast<std::int32_t>(arguments.output->second) : 0;
  view_.low = static_cast<float>(low - view_.zero);
  view_.high = static_cast<float>(high - view_.zero);
}

void EpilogueArrays::set_activation(const EpilogueArguments& arguments) {
  view_.activation = checked_activation(arguments.activation);
  if (view_.activation == Activation::kRelu) {
    throw py::value_error("relu is a bound here; pass low instead of an activation");
  }
  const double unit = arguments.output ? arguments.output->first : 1.0;
  const bool real = view_.activation != Activation::kNone;
  divisor_ = real ? 1.0 : unit;
  view_.unit = real ? folded(1.0 / unit, "inverse scale", 0) : 1.0f;
}

}  // namespace lamella
