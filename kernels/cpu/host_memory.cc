// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/host_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include <sys/mman.h>

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

size_t RoundUp(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

// Maps whole huge pages; null where the kernel refuses.
void* MapHugePages(size_t size_bytes) {
  void* mapped = mmap(nullptr, size_bytes + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  // Give back what lies before and after the aligned part.
  auto* begin = static_cast<char*>(mapped);
  auto* aligned = begin + (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (aligned != begin) munmap(begin, static_cast<size_t>(aligned - begin));
  munmap(aligned + size_bytes, static_cast<size_t>(begin + kHugePage - aligned));
  madvise(aligned, size_bytes, MADV_HUGEPAGE);  // a wish: without it pages are small
  return aligned;
}

}  // namespace

absl::StatusOr<DeviceBuffer> AllocateHostMemory(size_t size_bytes) {
  const auto no_room = [&] {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", size_bytes, " bytes"));
  };
  if (size_bytes > SIZE_MAX / 2) return no_room();
  if (size_bytes >= kHugePage) {
    const size_t mapped = RoundUp(size_bytes, kHugePage);
    void* data = MapHugePages(mapped);
    if (data == nullptr) return no_room();
    return DeviceBuffer(data, size_bytes, [mapped](void* p) { munmap(p, mapped); });
  }
  const size_t rounded = RoundUp(std::max(size_bytes, kLine), kLine);
  void* data = std::aligned_alloc(kLine, rounded);
  if (data == nullptr) return no_room();
  std::memset(data, 0, rounded);
  return DeviceBuffer(data, size_bytes, [](void* p) { std::free(p); });
}

void* ScratchMemory::Bytes(size_t size) {
  constexpr size_t kLarge = kHugePage / 8;
  if (memory_.data() == nullptr || memory_.size_bytes() < size) {
    memory_ = DeviceBuffer();
    auto grown = AllocateHostMemory(size < kLarge ? size : RoundUp(size, kHugePage));
    SDAR_CHECK(grown.ok());
    memory_ = *std::move(grown);
  }
  return memory_.data();
}

}  // namespace sdar
