#include "block.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "cuda_types.h"
#include "faults.h"
#include "fibers.h"
#include "scheduler.h"
#include "state.h"

namespace emu {

namespace {

constexpr unsigned WARP = 32;

EmuContext *context;
const EmuKernel *kernel;
void **arguments;

Continuation scheduler;
Fiber *current;
std::vector<Fiber *> ready;
size_t ready_head;
Fiber *parked[limit::threads];  // by thread: the fiber that waits for it, or null
unsigned char done[limit::threads];
unsigned long long switches;

struct Barrier {
  unsigned arrived;
  bool waits[limit::threads];
  unsigned line[limit::threads];
  EmuCombine combine[limit::threads];
  void *argument[limit::threads];
} barrier;

struct Warp {
  unsigned arrived;  // mask of the lanes that wait here
  unsigned first;    // of them the first to come
  bool uniform;      // they all came for the same operation with the same mask
  unsigned mask[WARP];
  const char *operation[WARP];
  EmuCombine combine[WARP];
  void *argument[WARP];
} warps[limit::threads / WARP];

// ---- words for faults

uint3 index_of(unsigned thread) {
  const unsigned x = context->block_size.x, y = context->block_size.y;
  return {thread % x, thread / x % y, thread / x / y};
}

std::string name_of(unsigned thread) {
  const uint3 t = index_of(thread);
  char text[64];
  std::snprintf(text, sizeof text, "thread (%u,%u,%u)", t.x, t.y, t.z);
  return text;
}

[[noreturn]] void fail(int code, const char *kind, std::string what, unsigned thread) {
  Fault fault;
  fault.code = code;
  fault.kind = kind;
  fault.what = std::move(what);
  fault.work = kernel->name;
  fault.in_kernel = true;
  fault.block = context->block_index;
  fault.thread = index_of(thread);
  abandon(std::move(fault));
}

std::string at_line(unsigned line) { return "line " + std::to_string(line); }

std::string hex(unsigned mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

// ---- running and waiting

void fiber_main() {
  for (;;) {
    kernel->run(arguments);
    give_fiber(current);
    switches++;
    switch_between(current->here, scheduler);
  }
}

void park() {
  Fiber *const fiber = current;
  const unsigned thread = context->thread;
  const uint3 index = context->thread_index;
  switches++;
  switch_between(fiber->here, scheduler);
  context->thread = thread;
  context->thread_index = index;
}

void wake(unsigned thread) {
  if (!parked[thread]) return;
  ready.push_back(std::exchange(parked[thread], nullptr));
}

// The last one to arrive goes on at once, the others are queued; in random order it may have to queue as well.
void go_on(unsigned thread) {
  if (settings.order != Order::random || random_number() % 2) return;
  parked[thread] = current;
  wake(thread);
  park();
}

Fiber *next_ready() {
  if (settings.order == Order::random) {
    const size_t pick = ready_head + random_number() % (ready.size() - ready_head);
    std::swap(ready[ready_head], ready[pick]);
  }
  Fiber *const fiber = ready[ready_head++];
  if (ready_head == ready.size()) ready.clear(), ready_head = 0;
  return fiber;
}

template <class Action>
void each_thread(unsigned from, unsigned to, Action action) {
  if (settings.order == Order::reverse)
    for (unsigned thread = to; thread-- > from;) action(thread);
  else
    for (unsigned thread = from; thread < to; thread++) action(thread);
}

// ---- the block's barrier

void check_same_barrier() {
  unsigned first = limit::threads;
  for (unsigned thread = 0; thread < context->threads; thread++) {
    if (!barrier.waits[thread]) continue;
    if (first == limit::threads) first = thread;
    if (barrier.line[thread] == barrier.line[first] && barrier.combine[thread] == barrier.combine[first]) continue;
    fail(LAUNCH_FAILED, "divergence",
         "divergent __syncthreads: " + name_of(first) + " is at " + at_line(barrier.line[first]) + ", " +
             name_of(thread) + " at " + at_line(barrier.line[thread]),
         thread);
  }
}

bool open_barrier() {
  if (!barrier.arrived || barrier.arrived + context->exited < context->threads) return false;
  check_same_barrier();
  const unsigned n = context->threads;
  for (unsigned thread = 0; thread < n; thread++)
    if (!barrier.waits[thread]) barrier.argument[thread] = nullptr;
  for (unsigned thread = 0; thread < n; thread++) {
    if (!barrier.waits[thread]) continue;
    if (barrier.combine[thread]) barrier.combine[thread](barrier.argument, n);
    break;
  }
  barrier.arrived = 0;
  each_thread(0, n, [](unsigned thread) {
    if (!std::exchange(barrier.waits[thread], false)) return;
    wake(thread);
  });
  return true;
}

void block_meets(unsigned line, EmuCombine combine, void *argument) {
  const unsigned thread = context->thread;
  barrier.waits[thread] = true;
  barrier.line[thread] = line;
  barrier.combine[thread] = combine;
  barrier.argument[thread] = argument;
  barrier.arrived++;
  if (open_barrier()) return go_on(thread);
  parked[thread] = current;
  park();
}

// ---- warp operations

unsigned absent_lanes(unsigned warp) {  // that have returned or never were
  unsigned mask = 0;
  for (unsigned lane = 0; lane < WARP; lane++) {
    const unsigned thread = warp * WARP + lane;
    if (thread >= context->threads || done[thread]) mask |= 1u << lane;
  }
  return mask;
}

bool as_the_first(const Warp &warp, unsigned lane) {
  const unsigned first = warp.first;
  return warp.mask[first] == warp.mask[lane] && warp.combine[first] == warp.combine[lane] &&
         warp.operation[first] == warp.operation[lane];
}

void check_masks(const Warp &warp, unsigned lane, unsigned thread) {
  const unsigned mask = warp.mask[lane];
  const std::string operation = warp.operation[lane];
  for (unsigned other = 0; other < WARP; other++) {
    const bool each_waits_for_the_other = warp.arrived >> other & mask >> other & warp.mask[other] >> lane & 1;
    if (other == lane || !each_waits_for_the_other) continue;
    const std::string who = name_of(thread - lane + other);
    if (warp.mask[other] != mask)
      fail(LAUNCH_FAILED, "mask", operation + " with mask " + hex(mask) + ", but " + who + " is at " +
           warp.operation[other] + " with mask " + hex(warp.mask[other]), thread);
    if (warp.combine[other] != warp.combine[lane] || std::strcmp(warp.operation[other], warp.operation[lane]) != 0)
      fail(LAUNCH_FAILED, "mask", operation + ", but " + who + " of the same mask is at " + warp.operation[other] +
           " (or one of another type)", thread);
  }
}

bool open_warp(unsigned index, unsigned lane, unsigned absent) {
  Warp &warp = warps[index];
  const unsigned wanted = warp.mask[lane] & ~absent;
  if ((warp.arrived & wanted) != wanted) return false;
  for (unsigned other = 0; other < WARP && !warp.uniform; other++)
    if (wanted >> other & 1 && warp.mask[other] != warp.mask[lane]) return false;
  if (warp.combine[lane]) warp.combine[lane](warp.argument, wanted);
  warp.arrived &= ~wanted;
  const unsigned first = index * WARP, last = std::min(first + WARP, context->threads);
  each_thread(first, last, [=](unsigned thread) {
    if (wanted >> (thread - first) & 1) wake(thread);
  });
  return true;
}

void warp_meets(unsigned mask, const char *operation, EmuCombine combine, void *argument) {
  const unsigned thread = context->thread, index = thread / WARP, lane = thread % WARP;
  Warp &warp = warps[index];
  warp.mask[lane] = mask;
  warp.operation[lane] = operation;
  warp.combine[lane] = combine;
  warp.argument[lane] = argument;
  if (!(mask >> lane & 1))
    fail(LAUNCH_FAILED, "mask", operation + (": the mask " + hex(mask)) + " lacks the lane that calls", thread);
  if (!warp.arrived) warp.first = lane, warp.uniform = true;
  warp.uniform = warp.uniform && as_the_first(warp, lane);
  if (!warp.uniform) check_masks(warp, lane, thread);
  warp.arrived |= 1u << lane;
  const unsigned size = context->threads - index * WARP;
  if (open_warp(index, lane, size < WARP ? ~0u << size : 0)) return go_on(thread);
  parked[thread] = current;
  park();
}

// ---- when nobody can run: those who wait for threads that have returned go on; else it is a deadlock

bool open_for_absent() {
  if (open_barrier()) return true;
  for (unsigned index = 0; index * WARP < context->threads; index++) {
    if (!warps[index].arrived) continue;
    const unsigned absent = absent_lanes(index);
    for (unsigned lane = 0; lane < WARP; lane++)
      if (warps[index].arrived >> lane & 1 && open_warp(index, lane, absent)) return true;
  }
  return false;
}

[[noreturn]] void report_deadlock() {
  unsigned at_barrier = 0, in_warps = 0, first_barrier = limit::threads, first_warp = limit::threads;
  for (unsigned thread = 0; thread < context->threads; thread++) {
    if (barrier.waits[thread] && at_barrier++ == 0) first_barrier = thread;
    if (warps[thread / WARP].arrived >> thread % WARP & 1 && in_warps++ == 0) first_warp = thread;
  }
  std::string what = "deadlock: ";
  if (at_barrier)
    what += std::to_string(at_barrier) + " threads wait at __syncthreads (" + name_of(first_barrier) + " at " +
            at_line(barrier.line[first_barrier]) + "), ";
  if (in_warps) {
    const Warp &warp = warps[first_warp / WARP];
    const unsigned lane = first_warp % WARP;
    what += std::to_string(in_warps) + " in warp operations (" + name_of(first_warp) + " in " + warp.operation[lane] +
            ", mask " + hex(warp.mask[lane]) + ", for lanes " + hex(warp.mask[lane] & ~warp.arrived) + "), ";
  }
  what += std::to_string(context->exited) + " of " + std::to_string(context->threads) + " have returned";
  fail(LAUNCH_FAILED, "deadlock", what, std::min(first_barrier, first_warp));
}

void stop(int code, const char *what, unsigned line) {
  fail(code, code == ASSERT ? "assert" : "trap", std::string(what) + " at " + at_line(line), context->thread);
}

Fiber *next_fiber() {
  const bool can_start = context->next < context->threads, can_continue = ready_head < ready.size();
  const bool prefer_start = settings.order == Order::random && can_start && random_number() % 2;
  if (can_continue && !prefer_start) return next_ready();
  if (!can_start) return nullptr;
  Fiber *const fiber = take_fiber(fiber_main);
  if (!fiber) fail(LAUNCH_FAILED, "host", "the host has no memory for another fiber", 0);
  return fiber;
}

}  // namespace

void begin_blocks(EmuContext &module_context, const EmuKernel &which, void **values) {
  context = &module_context;
  kernel = &which;
  arguments = values;
  context->done = done;
  context->block_meets = block_meets;
  context->warp_meets = warp_meets;
  context->stop = stop;
}

void run_block() {
  std::memset(done, 0, context->threads);
  context->next = context->exited = context->thread = 0;
  for (;;) {
    if (Fiber *fiber = next_fiber()) {
      current = fiber;
      switches++;
      switch_between(scheduler, fiber->here);
    } else if (context->exited == context->threads) {
      return;
    } else if (!open_for_absent()) {
      report_deadlock();
    }
  }
}

void drop_block() {
  drop_fibers();
  ready.clear();
  ready_head = 0;
  barrier = {};
  std::fill(std::begin(warps), std::end(warps), Warp{});
  std::fill(std::begin(parked), std::end(parked), nullptr);
}

const EmuContext &running_context() { return *context; }
const char *running_name() { return kernel->name; }
unsigned long long switch_count() { return switches; }

}  // namespace emu
