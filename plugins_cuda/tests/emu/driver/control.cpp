// What the library exports: the table of entry points, and the emulation's own controls (for Python's ctypes).
#include <cstdio>
#include <cstring>

#include "faults.h"
#include "launch.h"
#include "memory.h"
#include "scheduler.h"
#include "state.h"
#include "streams.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace emu;

EXPORT CUresult cuGetProcAddress_v2(const char *name, void **out, int version, unsigned long long, int *status) {
  Lock lock;
  if (!std::strcmp(name, "cuGetProcAddress"))
    *out = reinterpret_cast<void *>(&cuGetProcAddress_v2);
  else
    *out = find_entry(name, version);
  if (status) *status = *out ? 0 : 1;
  return *out ? SUCCESS : NOT_FOUND;
}

EXPORT CUresult cuGetProcAddress(const char *name, void **out, int version, unsigned long long flags) {
  return cuGetProcAddress_v2(name, out, version, flags, nullptr);
}

EXPORT int emu_abi() { return EMU_ABI; }

static int set(const char *name, long long value) {
  if (!std::strcmp(name, "order")) return settings.order = static_cast<Order>(value), 0;
  if (!std::strcmp(name, "guard")) return settings.guard = static_cast<Guard>(value), 0;
  if (!std::strcmp(name, "deferred")) return settings.deferred = value, 0;
  if (!std::strcmp(name, "devices")) return settings.devices = static_cast<int>(value), 0;
  if (!std::strcmp(name, "driver_version")) return settings.driver_version = static_cast<int>(value), 0;
  if (!std::strcmp(name, "init_code")) return settings.init_code = static_cast<int>(value), 0;
  if (!std::strcmp(name, "memory")) return settings.memory = static_cast<size_t>(value), 0;
  if (!std::strcmp(name, "timeout_ms")) return settings.timeout_ms = static_cast<unsigned>(value), 0;
  if (!std::strcmp(name, "seed")) return seed_random(static_cast<unsigned long long>(value)), 0;
  return -1;
}

EXPORT int emu_set(const char *name, long long value) {
  Lock lock;
  return set(name, value);
}

EXPORT int emu_finish() {
  Lock lock;
  return finish_all();
}

struct PlainFault {
  int code, in_kernel;
  const char *kind, *what, *work;
  unsigned block[3], thread[3];
  unsigned long long address;
};

EXPORT void emu_fault(PlainFault *out) {  // its texts live until the next fault or reset
  Lock lock;
  const Fault &f = last_fault();
  *out = {f.code, f.in_kernel, f.kind.c_str(), f.what.c_str(), f.work.c_str(), {f.block.x, f.block.y, f.block.z},
          {f.thread.x, f.thread.y, f.thread.z}, f.address};
}

EXPORT void emu_reset() {
  Lock lock;
  drop_work();
  for (unsigned device = 0; device < limit::devices; device++) poisoned(static_cast<int>(device)) = SUCCESS;
  release_marked();
  clear_fault();
}

struct PlainReport {
  unsigned long long live_bytes, live_allocations, peak_bytes, launches, switches, pending, missing;
};

EXPORT void emu_report(PlainReport *out) {
  Lock lock;
  const Usage use = usage();
  *out = {use.bytes,      use.allocations, use.peak, launch_count(),
          switch_count(), pending_work(),  missing_entries().size()};
}

EXPORT const char *emu_missing(unsigned index) {
  Lock lock;
  return index < missing_entries().size() ? missing_entries()[index].c_str() : nullptr;
}

EXPORT int emu_live(unsigned index, unsigned long long *serial, unsigned long long *size, int *pinned) {
  Lock lock;
  const auto list = live_allocations();
  if (index >= list.size()) return 0;
  *serial = list[index]->serial;
  *size = list[index]->size;
  *pinned = list[index]->place == Place::pinned;
  return 1;
}
