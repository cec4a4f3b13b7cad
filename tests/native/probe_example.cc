// Prints the kernels of kv_store, best first, and a hash of what the selected one stores in each
// format, of numbers and of any patterns. The argument is the seed of the values.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/kv_store/kv_store.h"
#include "probe_io.h"
#include "vectors_case.h"

namespace {

using namespace lamella;
using namespace lamella::vectors;

constexpr std::size_t kTokens = 3, kHeads = 2;
constexpr std::size_t kWidths[] = {1, 7, 8, 9, 16, 47, 64};

void print_stored(const KvStoreKernel& kernel, CacheFormat format, std::size_t width,
                  const Floats& x) {
  const std::vector<std::int32_t> place = {2, 0, 1};
  Bytes codes(kTokens * kHeads * cache_row_bytes(format, width));
  Floats scale(has_scale(format) ? kTokens * kHeads : 0);
  const Cache cache{format, kHeads, width, codes.data(), scale.data()};
  run_kernel(kernel, [&] { kernel.run({x.data(), place.data(), cache}, {0, kTokens}); });
  Hash hash;
  hash.add(codes);
  hash.add(scale);
  std::printf("%d %zu %016" PRIx64 "\n", static_cast<int>(format), width, hash.value());
}

}  // namespace

int main(int count, char** arguments) {
  IsaSet allowed = isa::kNone;
  if (!probe::start(count, arguments, &allowed)) return 2;
  probe::watch_allocations();
  for (const KvStoreKernel& kernel : kv_store_kernels()) std::printf("%s\n", kernel.name);
  Draw draw(std::strtoull(arguments[1], nullptr, 10));
  for (const CacheFormat format :
       {CacheFormat::kFloat32, CacheFormat::kFloat16, CacheFormat::kInt8, CacheFormat::kInt4}) {
    for (const std::size_t width : kWidths) {
      const std::size_t size = kTokens * kHeads * width;
      print_stored(kv_store_select(allowed), format, width, draw.reals(size));
      print_stored(kv_store_select(allowed), format, width, draw.patterns(size));
    }
  }
  return 0;
}
