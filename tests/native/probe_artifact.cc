// Opens each file that it is given by name, mapped and from memory of its exact size, and prints
// what the file holds or why it is refused; and runs the harness of the fuzzer on it.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "engine/file/mapped_file.h"
#include "fuzz/walk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

bool answer(const char* path) {
  lamella::file::MappedFile file;
  const lamella::Status status = lamella::file::MappedFile::open(path, &file);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.sentence().c_str());
    return false;
  }
  const std::size_t size = file.bytes().size();
  // A sanitizer sees a step behind these bytes, but not behind those of a mapped page.
  const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[size]);
  for (std::size_t i = 0; i < size; ++i) exact[i] = file.bytes().begin()[i];
  const std::string seen = lamella::fuzz::walk({exact.get(), size});
  if (seen != lamella::fuzz::walk(file.bytes())) return false;
  LLVMFuzzerTestOneInput(exact.get(), size);
  std::printf("%s%c", seen.c_str(), '\0');
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    if (!answer(arguments[i])) return 1;
  }
  return 0;
}
