// A file in memory, read-only, without a copy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/span.h"
#include "base/status.h"

namespace lamella::file {

class MappedFile {
 public:
  // Maps a regular file. It may be replaced by renaming while it is mapped, but must not be
  // truncated: reading what is gone kills the process.
  static Status open(const char* path, MappedFile* file);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Valid for as long as the object, or what it was moved to. Starts at a page.
  Span<std::uint8_t> bytes() const { return {bytes_, size_}; }

 private:
  const std::uint8_t* bytes_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lamella::file
