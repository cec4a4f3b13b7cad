// The rows of sha256.h that use instructions made for SHA-256, and whether the processor has them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamella::file {

bool sha256_shani_runs();
void sha256_shani(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count);

bool sha256_armv8_runs();
void sha256_armv8(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count);

}  // namespace lamella::file
