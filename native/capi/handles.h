// What the handles of lamella.h point to.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/file/artifact.h"
#include "engine/file/mapped_file.h"
#include "engine/program.h"
#include "engine/session.h"
#include "include/lamella.h"

// Read-only after it was opened.
struct lamella_model {
  lamella::file::MappedFile mapped;
  lamella::file::Artifact artifact;
  lamella::Program program;
  lamella::Span<std::uint8_t> weights{nullptr, 0};
  std::string error;
};

struct lamella_session {
  const lamella_model* model;
  std::unique_ptr<lamella::Session> session;
  std::vector<lamella::Tensor> inputs;  // data is null where one was not set
  std::string error;
};

namespace lamella {

// Keeps the sentence of a failure and returns `otherwise`, or LAMELLA_OK.
inline lamella_status kept(const Status& status, lamella_status otherwise, std::string* error) {
  if (status.ok()) return LAMELLA_OK;
  *error = status.sentence();
  return otherwise;
}

// Runs what may want memory, so that no exception leaves the library.
template <typename Body>
lamella_status guarded(std::string* error, const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    error->assign("no memory");  // short enough to need none
    return LAMELLA_NO_MEMORY;
  }
}

}  // namespace lamella
