#include "engine/ops/indices.h"

#include <string>

namespace lamella {

Status copy_indices(const Tensor& given, std::size_t limit, const char* what, std::int32_t* to) {
  const auto* from = given.as<const std::int32_t>();
  const std::size_t count = given.count();
  for (std::size_t i = 0; i < count; ++i) {
    const std::int32_t index = from[i];
    if (index < 0 || static_cast<std::size_t>(index) >= limit) {
      return Status::failure(std::string(what) + " " + std::to_string(i) + " is " +
                             std::to_string(index) + ", but must be from 0 to below " +
                             std::to_string(limit));
    }
    to[i] = index;
  }
  return Status::success();
}

}  // namespace lamella
