// What can be stored: the widths and groups of formats.inc as arrays.
#pragma once

namespace lamella {

#define LAMELLA_WEIGHT_BITS(bits) bits,
#define LAMELLA_GROUP(cols)
inline constexpr int kWeightBits[] = {
#include "base/formats.inc"
};
#undef LAMELLA_WEIGHT_BITS
#undef LAMELLA_GROUP

#define LAMELLA_WEIGHT_BITS(bits)
#define LAMELLA_GROUP(cols) cols,
inline constexpr int kGroups[] = {
#include "base/formats.inc"
};
#undef LAMELLA_WEIGHT_BITS
#undef LAMELLA_GROUP

// Whether codes of `bits` bits can be packed: the widths of weights, and 1, the width of a mask.
constexpr bool packs(int bits) {
  for (const int width : kWeightBits) {
    if (bits == width) return true;
  }
  return bits == 1;
}

}  // namespace lamella
