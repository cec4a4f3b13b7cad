// LAMELLA_DCHECK: a precondition that debug builds enforce and release builds assume.
#pragma once

#include <cassert>

#define LAMELLA_DCHECK(condition) assert(condition)
