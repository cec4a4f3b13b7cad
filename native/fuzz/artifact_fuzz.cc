// libFuzzer: whatever the bytes, opening an artifact gives a sentence or an artifact.
//
// `make fuzz` builds this and runs it a million times.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/file/artifact.h"
#include "fuzz/walk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string seen = lamella::fuzz::walk({data, size});
  // Both ways of opening must come to the same end.
  lamella::file::Artifact artifact;
  const bool taken =
      lamella::file::Artifact::open({data, size}, lamella::file::Check::kAll, &artifact).ok();
  if (taken != (seen.rfind("taken\n", 0) == 0)) std::abort();
  return 0;
}
