// A hook that stops a kernel which asks for memory, by whatever call. The address sanitizer tells
// of each allocation, so other builds see none.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LAMELLA_SEES_ALLOCATIONS
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define LAMELLA_SEES_ALLOCATIONS
#endif

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#if defined(LAMELLA_SEES_ALLOCATIONS)
// Of the sanitizer, whose header GCC does not install.
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*allocated)(const volatile void* memory, std::size_t bytes),
    void (*freed)(const volatile void* memory));
#endif

namespace lamella::probe {

// The kernel that runs now, or null.
inline const char* running = nullptr;

inline void refuse_in_kernels(const volatile void*, std::size_t bytes) {
  if (running == nullptr) return;
  const char* kernel = running;
  running = nullptr;  // what follows may allocate
  std::fprintf(stderr, "%s allocates %zu bytes\n", kernel, bytes);
  std::_Exit(1);
}

// To be called once, before the first kernel.
inline void watch_allocations() {
#if defined(LAMELLA_SEES_ALLOCATIONS)
  __sanitizer_install_malloc_and_free_hooks(&refuse_in_kernels, [](const volatile void*) {});
#endif
}

// Calls run(), which calls the kernel of that name and itself allocates nothing.
template <typename Run>
void watch_kernel(const char* name, const Run& run) {
  running = name;
  run();
  running = nullptr;
}

}  // namespace lamella::probe
