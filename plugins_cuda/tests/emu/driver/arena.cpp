#include "arena.h"

#include <sys/mman.h>

#include <iterator>
#include <map>

namespace emu {

namespace {

constexpr size_t GIB = size_t(1) << 30, LARGEST = 4096 * GIB, SMALLEST = 16 * GIB, SLOTS = 16384;

struct Arena {
  char *base = nullptr;
  size_t size = 0, gap = 0, next = 0;
  std::map<size_t, size_t> taken;  // offset: bytes

  Arena() {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    for (size = LARGEST; size >= SMALLEST; size /= 2) {
      void *const map = mmap(nullptr, size, PROT_NONE, flags, -1, 0);
      if (map == MAP_FAILED) continue;
      base = static_cast<char *>(map);
      gap = size / SLOTS;
      next = first();
      return;
    }
    size = 0;
  }

  size_t first() const { return size / 64; }  // an index below the start must stay in the arena as well
  size_t last() const { return size - size / 64; }

  // The end of whatever lies within a gap of the place, or 0 if nothing does.
  size_t in_the_way(size_t offset, size_t bytes) const {
    const auto after = taken.lower_bound(offset + bytes + gap);
    if (after == taken.begin()) return 0;
    const auto before = std::prev(after);
    const size_t end = before->first + before->second;
    return end + gap > offset ? end : 0;
  }

  char *take(size_t bytes) {
    bool wrapped = false;
    for (;;) {
      if (next + bytes > last()) {
        if (wrapped) return nullptr;
        wrapped = true;
        next = first();
      }
      const size_t end = in_the_way(next, bytes);
      if (!end) break;
      next = end + gap;
    }
    char *const start = base + next;
    if (mprotect(start, bytes, PROT_READ | PROT_WRITE) != 0) return nullptr;
    taken[next] = bytes;
    next += bytes + gap;
    return start;
  }
};

Arena &arena() {
  static Arena *const only = new Arena;
  return *only;
}

}  // namespace

char *arena_take(size_t bytes) { return arena().take(bytes); }

void arena_retire(char *start, size_t bytes) {
  madvise(start, bytes, MADV_DONTNEED);
  mprotect(start, bytes, PROT_NONE);
}

void arena_recycle(char *start) { arena().taken.erase(static_cast<size_t>(start - arena().base)); }

bool in_arena(uintptr_t address) {
  const uintptr_t base = reinterpret_cast<uintptr_t>(arena().base);
  return address >= base && address < base + arena().size;
}

}  // namespace emu
