// Runs the selected pack kernel on cases from a file and writes what it gives to stdout, so that
// another build, or another processor, can be compared with NumPy byte for byte.
//
// A case is five little-endian 32-bit numbers (rows, cols, bits, group, kept), then codes, mask
// and zero codes; the answer is the packed codes, the unpacked ones, the kept ones of the mask and
// the restored ones. Every buffer has its exact size, so that a sanitizer sees a step too far.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <vector>

#include "base/isa.h"
#include "kernels/pack/pack.h"

namespace {

using Buffer = std::vector<std::uint8_t>;

Buffer read(std::istream& in, std::size_t size) {
  Buffer bytes(size);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  return bytes;
}

void write(const Buffer& bytes) {
  std::cout.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
}

std::uint32_t number(const Buffer& bytes, std::size_t index) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= static_cast<std::uint32_t>(bytes[4 * index + i]) << (8 * i);
  }
  return value;
}

void answer(const lamella::PackCalls& calls, const Buffer& head, std::istream& in) {
  const lamella::PackShape shape{number(head, 0), number(head, 1),
                                 static_cast<int>(number(head, 2))};
  const std::size_t group = number(head, 3);
  const lamella::MaskShape masked{shape.rows, shape.cols, number(head, 4)};
  const Buffer codes = read(in, shape.rows * shape.cols);
  const Buffer mask = read(in, shape.rows * lamella::packed_row_bytes(shape.cols, 1));
  const Buffer zero = read(in, shape.rows * lamella::groups_of(shape.cols, group));

  Buffer packed(shape.rows * lamella::packed_row_bytes(shape.cols, shape.bits));
  calls.pack(shape, codes.data(), packed.data());
  write(packed);
  Buffer unpacked(codes.size());
  calls.unpack(shape, packed.data(), unpacked.data());
  write(unpacked);
  Buffer kept(masked.kept);
  calls.compact(masked, codes.data(), mask.data(), kept.data());
  write(kept);
  Buffer restored(codes.size());
  calls.expand(masked, kept.data(), mask.data(), {zero.data(), group}, restored.data());
  write(restored);
}

}  // namespace

int main(int count, char** arguments) {
  lamella::IsaSet allowed = lamella::isa::kNone;
  const lamella::Status status = lamella::allowed_isa(&allowed);
  if (count != 2 || !status.ok()) {
    std::fprintf(stderr, "usage: probe CASES; %s\n", status.sentence().c_str());
    return 2;
  }
  const lamella::PackKernel& kernel = lamella::pack_select(allowed);
  std::fprintf(stderr, "%s\n", kernel.name);
  std::ifstream in(arguments[1], std::ios::binary);
  while (in.peek() != std::char_traits<char>::eof()) answer(*kernel.calls, read(in, 20), in);
  return 0;
}
