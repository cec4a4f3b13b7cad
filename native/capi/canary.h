// The canary of a file, run by a session and compared.
#pragma once

#include "base/status.h"
#include "engine/file/artifact.h"
#include "engine/session.h"

namespace lamella {

// Fails unless the outputs lie within the tolerance of the manifest, as FORMAT.md, section 6, says.
Status run_canary(const file::Artifact& artifact, Session* session);

}  // namespace lamella
