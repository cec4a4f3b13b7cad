// Runs the selected pack kernel on cases (probe_io.h).
//
// A case is five 32-bit numbers (rows, cols, bits, group, kept), then codes, mask and zero codes;
// the answer is the packed codes, the unpacked ones, the kept ones of the mask and the restored
// ones.
#include "kernels/pack/pack.h"
#include "probe_io.h"

namespace {

using namespace lamella::probe;
using Buffer = std::vector<std::uint8_t>;

void answer(lamella::IsaSet allowed, std::istream& in) {
  const lamella::PackKernel& kernel = said(lamella::pack_select(allowed));
  const auto head = read<std::uint32_t>(in, 5);
  const lamella::PackShape shape{head[0], head[1], static_cast<int>(head[2])};
  const std::size_t group = head[3];
  const lamella::MaskShape masked{shape.rows, shape.cols, head[4]};
  const Buffer codes = read<std::uint8_t>(in, shape.rows * shape.cols);
  const Buffer mask = read<std::uint8_t>(in, shape.rows * lamella::packed_row_bytes(shape.cols, 1));
  const Buffer zero = read<std::uint8_t>(in, shape.rows * lamella::groups_of(shape.cols, group));

  Buffer packed(shape.rows * lamella::packed_row_bytes(shape.cols, shape.bits));
  kernel.calls->pack(shape, codes.data(), packed.data());
  write(packed);
  Buffer unpacked(codes.size());
  kernel.calls->unpack(shape, packed.data(), unpacked.data());
  write(unpacked);
  Buffer kept(masked.kept);
  kernel.calls->compact(masked, codes.data(), mask.data(), kept.data());
  write(kept);
  Buffer restored(codes.size());
  kernel.calls->expand(masked, kept.data(), mask.data(), {zero.data(), group}, restored.data());
  write(restored);
}

}  // namespace

int main(int count, char** arguments) {
  return lamella::probe::answer_cases(count, arguments, answer);
}
