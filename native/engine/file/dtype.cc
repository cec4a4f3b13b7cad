#include "engine/file/dtype.h"

namespace lamella::file {
namespace {

struct Row {
  const char* name;
  std::size_t bytes;
};

// In the order of the enumeration.
constexpr Row kRows[] = {
    {"bool", 1},   {"int8", 1},  {"uint8", 1},  {"int16", 2},   {"uint16", 2},  {"int32", 4},
    {"uint32", 4}, {"int64", 8}, {"uint64", 8}, {"float16", 2}, {"float32", 4}, {"float64", 8},
};

}  // namespace

const char* dtype_name(Dtype dtype) { return kRows[static_cast<std::size_t>(dtype)].name; }

std::size_t dtype_bytes(Dtype dtype) { return kRows[static_cast<std::size_t>(dtype)].bytes; }

bool find_dtype(std::string_view name, Dtype* dtype) {
  for (const Row& row : kRows) {
    if (name != row.name) continue;
    *dtype = static_cast<Dtype>(&row - kRows);
    return true;
  }
  return false;
}

}  // namespace lamella::file
