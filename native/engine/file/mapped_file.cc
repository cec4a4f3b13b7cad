#include "engine/file/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

namespace lamella::file {
namespace {

// What std::strerror says, which other threads may be saying at the same time.
Status system_failure(const char* path) {
  return Status::failure("cannot read " + std::string(path) + ": " +
                         std::generic_category().message(errno));
}

Status check_regular(const char* path, const struct stat& about) {
  if (S_ISREG(about.st_mode)) return Status::success();
  const char* what = S_ISDIR(about.st_mode) ? " is a folder" : " is not a regular file";
  return Status::failure(path + std::string(what) + ", so it is no .lamella file");
}

}  // namespace

Status MappedFile::open(const char* path, MappedFile* file) {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
  const int handle = ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (handle < 0) return system_failure(path);
  struct stat about = {};
  Status status = ::fstat(handle, &about) == 0 ? check_regular(path, about) : system_failure(path);
  const auto size = static_cast<std::uint64_t>(about.st_size);
  if (status.ok() && size > std::numeric_limits<std::size_t>::max()) {
    status = Status::failure(path + std::string(" is larger than this process can map"));
  }
  MappedFile mapped;
  if (status.ok() && size != 0) {
    void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, handle, 0);
    if (bytes == MAP_FAILED) {
      status = system_failure(path);
    } else {
      mapped.bytes_ = static_cast<const std::uint8_t*>(bytes);
      mapped.size_ = size;
    }
  }
  ::close(handle);
  if (status.ok()) *file = std::move(mapped);
  return status;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (bytes_ != nullptr) ::munmap(const_cast<std::uint8_t*>(bytes_), size_);
}

}  // namespace lamella::file
