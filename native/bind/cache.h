// A cache of keys or values as NumPy arrays.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>

#include "kernels/attention/cache.h"

namespace lamella {

// Holds the arrays that a Cache points into; nothing is copied.
class CacheArrays {
 public:
  // Raises ValueError for a dtype that is no format and for arrays that do not fit each other.
  CacheArrays(const pybind11::array& data, std::int64_t head_dim,
              const std::optional<pybind11::array>& scale);

  const pybind11::array& data() const { return data_; }
  const std::optional<pybind11::array>& scale() const { return scale_; }
  std::size_t positions() const { return static_cast<std::size_t>(data_.shape(0)); }
  bool writeable() const;

  // Valid for as long as this object is. Written to only where the arrays are writeable.
  Cache view() const;

 private:
  pybind11::array data_;
  std::size_t head_dim_;
  std::optional<pybind11::array> scale_;
};

// Adds KvCache.
void bind_cache(pybind11::module_& module);

}  // namespace lamella
