#include "state.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

namespace emu {

Settings settings;

namespace {

std::recursive_mutex mutex;
int depth = 0;
std::vector<std::function<void()>> callbacks;

struct Form {
  int since;
  void *function;
};

std::map<std::string, std::vector<Form>> &entries() {
  static std::map<std::string, std::vector<Form>> table;  // in a function: entries register before main, in any order
  return table;
}

// A function that is not there names itself when called: one stub for each name that was asked for.
constexpr size_t STUBS = 768;
std::vector<std::string> stub_names, called;

CUresult report_missing(size_t index) {
  Lock lock;
  const std::string &name = stub_names[index];
  std::fprintf(stderr, "emulated CUDA driver: %s is not implemented\n", name.c_str());
  if (std::find(called.begin(), called.end(), name) == called.end()) called.push_back(name);
  return NOT_SUPPORTED;
}

template <size_t I>
CUresult stub() {
  return report_missing(I);
}

template <size_t... I>
constexpr std::array<CUresult (*)(), sizeof...(I)> make_stubs(std::index_sequence<I...>) {
  return {stub<I>...};
}

void *stub_for(const std::string &name) {
  static const auto stubs = make_stubs(std::make_index_sequence<STUBS>());
  for (size_t i = 0; i < stub_names.size(); i++)
    if (stub_names[i] == name) return reinterpret_cast<void *>(stubs[i]);
  if (stub_names.size() == STUBS) return nullptr;
  stub_names.push_back(name);
  return reinterpret_cast<void *>(stubs[stub_names.size() - 1]);
}

unsigned long long random_state = 88172645463325252ull;

}  // namespace

Lock::Lock() {
  mutex.lock();
  depth++;
}

Lock::~Lock() {
  std::vector<std::function<void()>> due;
  if (--depth == 0) due.swap(callbacks);
  mutex.unlock();
  for (auto &callback : due) callback();
}

void when_unlocked(std::function<void()> callback) { callbacks.push_back(std::move(callback)); }

Entry::Entry(const char *name, int since, void *function) { entries()[name].push_back({since, function}); }

void *find_entry(const char *name, int version) {
  auto found = entries().find(name);
  if (found == entries().end()) return stub_for(name);
  const Form *best = nullptr;
  for (const Form &form : found->second)
    if (form.since <= version && (!best || form.since > best->since)) best = &form;
  return best ? best->function : nullptr;
}

const std::vector<std::string> &missing_entries() { return called; }

unsigned random_number() {  // xorshift64 of Marsaglia
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return static_cast<unsigned>(random_state >> 16);
}

void seed_random(unsigned long long seed) {
  random_state = seed * 0x9e3779b97f4a7c15ull + 88172645463325252ull;
  if (!random_state) random_state = 1;
  for (int i = 0; i < 8; i++) random_number();
}

}  // namespace emu
