// How libFuzzer changes an artifact: a plain change is caught by the first checksum, so most
// changes are made inside one section, or inside header and table, and the checksums are made true
// again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/file/little_endian.h"
#include "engine/file/sections.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

using lamella::file::aligned;
using lamella::file::put_little_endian;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kHeaderBytes = 64, kRowBytes = 128;

struct Part {
  Bytes row;  // of the table; offset, size and digest are made anew
  Bytes content;
};

std::vector<Part> parts_of(const lamella::file::Skeleton& skeleton, const std::uint8_t* file) {
  std::vector<Part> parts;
  for (const lamella::file::Section& section : skeleton.sections) {
    const std::uint8_t* row = file + kHeaderBytes + kRowBytes * parts.size();
    parts.push_back(
        {Bytes(row, row + kRowBytes), Bytes(section.bytes.begin(), section.bytes.end())});
  }
  return parts;
}

// Makes the checksums true of whatever the fields say, as far as it lies in the file.
void reseal(Bytes* file) {
  if (file->size() < kHeaderBytes) return;
  std::uint8_t* head = file->data();
  put_little_endian<std::uint64_t>(file->size(), head + 16);
  const std::size_t rows = (file->size() - kHeaderBytes) / kRowBytes;
  const std::size_t count =
      std::min<std::size_t>(rows, lamella::file::little_endian<std::uint32_t>(head + 12));
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t* row = head + kHeaderBytes + kRowBytes * i;
    const std::uint64_t offset = lamella::file::little_endian<std::uint64_t>(row + 8);
    const std::uint64_t size = lamella::file::little_endian<std::uint64_t>(row + 16);
    if (offset > file->size() || size > file->size() - offset) continue;
    const lamella::file::Digest digest =
        lamella::file::sha256({head + offset, static_cast<std::size_t>(size)});
    std::copy(digest.begin(), digest.end(), row + 24);
  }
  lamella::file::Sha256 hash;
  hash.add({head, 32});
  hash.add({head + kHeaderBytes, kRowBytes * count});
  const lamella::file::Digest root = hash.digest();
  std::copy(root.begin(), root.end(), head + 32);
}

Bytes joined(const std::uint8_t* header, const std::vector<Part>& parts) {
  Bytes file(header, header + kHeaderBytes);
  for (const Part& part : parts) file.insert(file.end(), part.row.begin(), part.row.end());
  put_little_endian(static_cast<std::uint32_t>(parts.size()), file.data() + 12);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::uint8_t* row = file.data() + kHeaderBytes + kRowBytes * i;
    put_little_endian<std::uint64_t>(file.size(), row + 8);
    put_little_endian<std::uint64_t>(parts[i].content.size(), row + 16);
    file.insert(file.end(), parts[i].content.begin(), parts[i].content.end());
    file.resize(aligned(file.size()));
  }
  reseal(&file);
  return file;
}

// Changes the content of one section.
Bytes with_other_content(const std::uint8_t* data, std::vector<Part> parts, unsigned seed,
                         std::size_t most) {
  Bytes& content = parts[seed % parts.size()].content;
  const std::size_t size = content.size();
  content.resize(size + std::min<std::size_t>(most, 256));
  content.resize(LLVMFuzzerMutate(content.data(), size, content.size()));
  return joined(data, parts);
}

// Leaves a section out, or doubles one.
Bytes with_other_sections(const std::uint8_t* data, std::vector<Part> parts, unsigned seed) {
  const auto which = parts.begin() + seed / 2 % static_cast<unsigned>(parts.size());
  if (seed % 2 == 0) {
    parts.erase(which);
  } else {
    const Part twin = *which;
    parts.insert(which, twin);
  }
  return joined(data, parts);
}

// Changes bytes of header and table.
Bytes with_other_head(const std::uint8_t* data, std::size_t size, std::size_t sections) {
  Bytes file(data, data + size);
  const std::size_t head = kHeaderBytes + kRowBytes * sections;
  LLVMFuzzerMutate(file.data(), head, head);
  reseal(&file);
  return file;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  lamella::file::Skeleton skeleton;
  const bool whole = lamella::file::read_skeleton({data, size}, &skeleton).ok();
  const unsigned way = seed % 16;
  if (!whole || way == 0) {
    Bytes file(data, data + size);
    file.resize(most);
    file.resize(LLVMFuzzerMutate(file.data(), size, most));
    if (way % 2 == 1) reseal(&file);
    std::copy(file.begin(), file.end(), data);
    return file.size();
  }
  const std::vector<Part> parts = parts_of(skeleton, data);
  const Bytes file = way == 1   ? with_other_sections(data, parts, seed / 16)
                     : way <= 4 ? with_other_head(data, size, parts.size())
                                : with_other_content(data, parts, seed / 16, most);
  if (file.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::copy(file.begin(), file.end(), data);
  return file.size();
}
