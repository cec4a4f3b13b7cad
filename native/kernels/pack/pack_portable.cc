// pack for any processor: the reference of the other kernels.
#include "base/check.h"
#include "base/formats.h"
#include "kernels/pack/block.h"
#include "kernels/pack/pack.h"

namespace lamella {
namespace {

void pack(PackShape shape, const std::uint8_t* codes, std::uint8_t* packed) {
  LAMELLA_DCHECK(packs(shape.bits));
  const std::size_t row_bytes = packed_row_bytes(shape.cols, shape.bits);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    pack_run(shape.cols, shape.bits, codes + row * shape.cols, packed + row * row_bytes);
  }
}

void unpack(PackShape shape, const std::uint8_t* packed, std::uint8_t* codes) {
  LAMELLA_DCHECK(packs(shape.bits));
  const std::size_t row_bytes = packed_row_bytes(shape.cols, shape.bits);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    unpack_run(shape.cols, shape.bits, packed + row * row_bytes, codes + row * shape.cols);
  }
}

void compact(MaskShape shape, const std::uint8_t* codes, const std::uint8_t* mask,
             std::uint8_t* kept) {
  LAMELLA_DCHECK(kept_codes(shape.rows, shape.cols, mask) == shape.kept);
  const std::size_t row_bytes = packed_row_bytes(shape.cols, 1);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    for (std::size_t col = 0; col < shape.cols; ++col) {
      if (is_kept(mask + row * row_bytes, col)) *kept++ = codes[row * shape.cols + col];
    }
  }
}

void expand(MaskShape shape, const std::uint8_t* kept, const std::uint8_t* mask, ZeroCodes zero,
            std::uint8_t* codes) {
  LAMELLA_DCHECK(kept_codes(shape.rows, shape.cols, mask) == shape.kept);
  const std::size_t row_bytes = packed_row_bytes(shape.cols, 1);
  const std::size_t groups = groups_of(shape.cols, zero.group);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    const std::uint8_t* row_zero = zero.codes + row * groups;
    for (std::size_t col = 0; col < shape.cols; ++col) {
      const bool keep = is_kept(mask + row * row_bytes, col);
      codes[row * shape.cols + col] = keep ? *kept++ : row_zero[col / zero.group];
    }
  }
}

}  // namespace

const PackCalls pack_portable = {&pack, &unpack, &compact, &expand};

}  // namespace lamella
