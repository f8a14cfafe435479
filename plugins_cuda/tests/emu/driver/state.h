// The settings, the one lock, and the registry of entry points: what every part of the driver shares.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cuda_types.h"

namespace emu {

enum class Order { forward, reverse, random };
enum class Guard { none, end, start };

struct Settings {
  Order order = Order::forward;
  Guard guard = Guard::end;
  bool deferred = false;
  int devices = 1, driver_version = 13000;
  int init_code = -1;  // what cuInit answers; -1: what a driver with that many devices would
  size_t memory = size_t(8) << 30;
  unsigned timeout_ms = 60000;  // of one kernel; 0: none
};
extern Settings settings;

// Every entry point holds the one lock. What must not run under it (callbacks into Python) is run when it is let go.
class Lock {
 public:
  Lock();
  ~Lock();
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;
};
void when_unlocked(std::function<void()> callback);

// Registers a function under the name that cuGetProcAddress is asked for.
struct Entry {
  Entry(const char *name, int since, void *function);
};

void *find_entry(const char *name, int version);
const std::vector<std::string> &missing_entries();  // that were called

unsigned random_number();
void seed_random(unsigned long long seed);

}  // namespace emu

// Defines and registers a driver function. API_SINCE: the form it has from a version of CUDA on.
#define API_SINCE(version, name, tag, ...)                                                                  \
  static CUresult name##_##tag(__VA_ARGS__);                                                                \
  static const emu::Entry entry_##name##_##tag(#name, version, reinterpret_cast<void *>(&name##_##tag));    \
  static CUresult name##_##tag(__VA_ARGS__)
#define API(name, ...) API_SINCE(0, name, v0, __VA_ARGS__)
