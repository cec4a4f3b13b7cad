// The intrinsics of AVX-512, to be included before any other header that has them.
#pragma once

// GCC 12 takes the undefined registers of its own intrinsics for mistakes (its bug 105593).
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>
