// Device and page-locked memory: each allocation in its own mapping, poisoned, guarded, and quarantined once freed.
#pragma once

#include <string>
#include <vector>

#include "faults.h"

namespace emu {

enum class Place { device, pinned };

struct Allocation {
  char *pages = nullptr;  // that hold it, with unreadable ones around; null without guards
  char *block = nullptr;  // what malloc gave, without guards
  size_t pages_size = 0;
  char *start = nullptr;
  size_t size = 0;
  int device = 0;
  Place place = Place::device;
  Handle pool = nullptr;
  unsigned long long serial = 0;
  bool free_wanted = false;  // its free is queued, or came while the context was poisoned: gone at the reset
};

struct Usage {
  size_t bytes, peak, allocations;
};

void *allocate(size_t size, int device, Place place, Handle pool);  // null: no memory left
bool release(uintptr_t address);                                    // false: no allocation begins there
bool release_at_reset(uintptr_t address);
void release_marked();
const Allocation *find_allocation(uintptr_t address);  // that holds the address, or ends at it
Usage usage();
Usage usage_of(Handle pool);
std::vector<const Allocation *> live_allocations();

bool in_quarantine(uintptr_t address);
std::string describe_address(uintptr_t address);  // where it lies with respect to the allocations there are or were

// A write into the few bytes between an allocation's end (or start) and its guard page, since the last call.
bool margins_damaged(Fault &fault);

}  // namespace emu
