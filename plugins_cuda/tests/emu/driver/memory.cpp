#include "memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iterator>
#include <map>

#include "arena.h"
#include "state.h"

namespace emu {

namespace {

// A kernel may load 16 bytes at once from the start of an allocation, so it is aligned to that and no more.
constexpr size_t ALIGNMENT = 16, DEVICE_ALIGNMENT = 256, MARGIN = 16;
constexpr int POISON = 0xff;  // a NaN in every floating type, -1 in every integer type
constexpr size_t QUARANTINE = 2048;

std::map<uintptr_t, Allocation> live;
std::deque<Allocation> quarantine;  // newest last
size_t used = 0, peak = 0;
unsigned long long serials = 0;

const size_t PAGE = static_cast<size_t>(sysconf(_SC_PAGESIZE));

size_t round_up(size_t size, size_t step) { return (size + step - 1) / step * step; }

// Whole pages with none mapped around them; the allocation lies at their end or at their start.
bool map_guarded(Allocation &made) {
  made.pages_size = std::max(round_up(made.size, PAGE), PAGE);
  made.pages = arena_take(made.pages_size);
  if (!made.pages) return false;
  const size_t room = round_up(std::max<size_t>(made.size, 1), ALIGNMENT);
  made.start = settings.guard == Guard::start ? made.pages : made.pages + made.pages_size - room;
  std::memset(made.pages, POISON, made.pages_size);
  return true;
}

bool map_plain(Allocation &made) {
  const size_t total = round_up(made.size, DEVICE_ALIGNMENT) + 2 * DEVICE_ALIGNMENT;
  made.block = static_cast<char *>(std::aligned_alloc(DEVICE_ALIGNMENT, total));
  if (!made.block) return false;
  made.start = made.block + DEVICE_ALIGNMENT;
  std::memset(made.block, POISON, total);
  return true;
}

void forget(const Allocation &old) {
  if (old.pages) arena_recycle(old.pages);
  std::free(old.block);
}

void retire(const Allocation &old) {
  if (old.pages)
    arena_retire(old.pages, old.pages_size);
  else
    std::memset(old.start, POISON, old.size);
  quarantine.push_back(old);
  if (quarantine.size() > QUARANTINE) {
    forget(quarantine.front());
    quarantine.pop_front();
  }
}

const char *first_written(const char *from, const char *to) {
  return std::find_if(from, to, [](char byte) { return byte != static_cast<char>(POISON); });
}

void repoison(char *from, char *to) { std::memset(from, POISON, static_cast<size_t>(to - from)); }

// The bytes after the end and before the start that lie in no guard page but belong to nobody.
void margins(const Allocation &a, char *&before, char *&after_end) {
  char *const low = a.pages ? a.pages : a.block;
  char *const high = a.pages ? a.pages + a.pages_size : a.start + a.size + MARGIN;
  before = std::max(low, a.start - MARGIN);
  after_end = std::min(high, a.start + a.size + MARGIN);
}

const Allocation *quarantined(uintptr_t address) {
  for (auto old = quarantine.rbegin(); old != quarantine.rend(); ++old) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(old->start);
    if (address >= begin && address < begin + std::max<size_t>(old->size, 1)) return &*old;
  }
  return nullptr;
}

std::string name_of(const Allocation &a) {
  char text[96];
  std::snprintf(text, sizeof text, "allocation %llu of %zu bytes", a.serial, a.size);
  return text;
}

}  // namespace

void *allocate(size_t size, int device, Place place, Handle pool) {
  if (place == Place::device && (size > settings.memory || used > settings.memory - size)) return nullptr;
  Allocation made;
  made.size = size;
  made.device = device;
  made.place = place;
  made.pool = pool;
  made.serial = ++serials;
  if (!(settings.guard == Guard::none ? map_plain(made) : map_guarded(made))) return nullptr;
  live[reinterpret_cast<uintptr_t>(made.start)] = made;
  used += size;
  peak = std::max(peak, used);
  return made.start;
}

bool release(uintptr_t address) {
  const auto found = live.find(address);
  if (found == live.end()) return false;
  used -= found->second.size;
  retire(found->second);
  live.erase(found);
  return true;
}

bool release_at_reset(uintptr_t address) {
  const auto found = live.find(address);
  if (found == live.end()) return false;
  found->second.free_wanted = true;
  return true;
}

void release_marked() {
  std::vector<uintptr_t> due;
  for (const auto &[address, a] : live)
    if (a.free_wanted) due.push_back(address);
  for (uintptr_t address : due) release(address);
}

const Allocation *find_allocation(uintptr_t address) {
  auto after = live.upper_bound(address);
  if (after == live.begin()) return nullptr;
  const Allocation &a = std::prev(after)->second;
  return address <= reinterpret_cast<uintptr_t>(a.start) + a.size ? &a : nullptr;
}

Usage usage() { return {used, peak, live.size()}; }

Usage usage_of(Handle pool) {
  Usage sum{0, 0, 0};
  for (const auto &[address, a] : live)
    if (a.pool == pool) sum.bytes += a.size, sum.allocations++;
  sum.peak = peak;
  return sum;
}

std::vector<const Allocation *> live_allocations() {
  std::vector<const Allocation *> list;
  for (const auto &[address, a] : live) list.push_back(&a);
  std::sort(list.begin(), list.end(), [](auto *a, auto *b) { return a->serial < b->serial; });
  return list;
}

bool in_quarantine(uintptr_t address) { return quarantined(address) != nullptr; }

std::string describe_address(uintptr_t address) {
  char text[160];
  if (address < PAGE) return "at a null pointer, or at an offset from one";
  if (const Allocation *old = quarantined(address)) return "inside " + name_of(*old) + ", which has been freed";
  const Allocation *below = nullptr, *above = nullptr;
  auto after = live.upper_bound(address);
  if (after != live.begin()) below = &std::prev(after)->second;
  if (after != live.end()) above = &after->second;
  const size_t far = size_t(-1);
  const size_t past = below ? address - reinterpret_cast<uintptr_t>(below->start) : far;
  const size_t ahead = above ? reinterpret_cast<uintptr_t>(above->start) - address : far;
  if (below && past < below->size) return "inside " + name_of(*below);
  const bool close = (below && past - below->size < PAGE) || ahead < PAGE;
  if (!close && !in_arena(address)) return "in memory of the host";
  if (below && past - below->size <= ahead) {
    std::snprintf(text, sizeof text, "%zu bytes past the end of ", past - below->size);
    return text + name_of(*below);
  }
  if (above) {
    std::snprintf(text, sizeof text, "%zu bytes before the start of ", ahead);
    return text + name_of(*above);
  }
  return "near no allocation";
}

bool margins_damaged(Fault &fault) {
  for (auto &[address, a] : live) {
    char *before, *after_end;
    margins(a, before, after_end);
    char *const end = a.start + a.size;
    const char *bad = first_written(end, after_end);
    if (bad == after_end) bad = first_written(before, a.start);
    if (bad == a.start) continue;
    fault.address = reinterpret_cast<uintptr_t>(bad);
    fault.what = "a write " + describe_address(reinterpret_cast<uintptr_t>(bad));
    repoison(end, after_end);
    repoison(before, a.start);
    return true;
  }
  return false;
}

}  // namespace emu
