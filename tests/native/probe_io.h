// What the programs that answer cases share: arrays from a file, answers to stdout, and to stderr
// the kernels that gave them, so that another build, or another processor, can be compared with
// NumPy bit for bit. Numbers are little-endian. Every array has its exact size, so that a sanitizer
// sees a step too far.
#pragma once

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <vector>

#include "base/isa.h"

namespace lamella::probe {

template <typename Item>
std::vector<Item> read(std::istream& in, std::size_t size) {
  std::vector<Item> items(size);
  in.read(reinterpret_cast<char*>(items.data()), static_cast<std::streamsize>(size * sizeof(Item)));
  return items;
}

template <typename Item>
void write(const std::vector<Item>& items) {
  std::cout.write(reinterpret_cast<const char*>(items.data()),
                  static_cast<std::streamsize>(items.size() * sizeof(Item)));
}

// Says which kernel answers.
template <typename Kernel>
const Kernel& said(const Kernel& kernel) {
  std::fprintf(stderr, "%s\n", kernel.name);
  return kernel;
}

// Finds the instruction sets that kernels may use. Returns false, and says why, where that fails or
// the program was not given its one argument.
inline bool start(int count, char** arguments, IsaSet* allowed) {
  const Status status = allowed_isa(allowed);
  if (count == 2 && status.ok()) return true;
  std::fprintf(stderr, "%s takes one argument; %s\n", arguments[0], status.sentence().c_str());
  return false;
}

// Calls answer(allowed, in) for each case of the file that the program was given. Returns what main
// returns.
template <typename Answer>
int answer_cases(int count, char** arguments, const Answer& answer) {
  IsaSet allowed = isa::kNone;
  if (!start(count, arguments, &allowed)) return 2;
  std::ifstream in(arguments[1], std::ios::binary);
  while (in.peek() != std::char_traits<char>::eof()) answer(allowed, in);
  return 0;
}

}  // namespace lamella::probe
