// Where 8 places find their codes, for instruction sets that shuffle bytes by a table.
#pragma once

#include <cstdint>

namespace lamella {

struct SpreadTable {
  // For each mask of 8 places: the number of the kept code, or 255 where none is kept.
  std::uint8_t places[256][8];
};

constexpr SpreadTable make_spread_table() {
  SpreadTable table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    std::uint8_t number = 0;
    for (unsigned place = 0; place < 8; ++place) {
      const bool kept = (mask >> place & 1) != 0;
      table.places[mask][place] = kept ? number : std::uint8_t{255};
      if (kept) ++number;
    }
  }
  return table;
}

alignas(64) inline constexpr SpreadTable kSpread = make_spread_table();

}  // namespace lamella
