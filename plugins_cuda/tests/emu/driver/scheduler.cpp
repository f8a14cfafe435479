#include "scheduler.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "block.h"
#include "cuda_types.h"
#include "faults.h"
#include "state.h"

namespace emu {

namespace {

constexpr size_t SHARED_AREA = 256 << 10, SHARED_GUARD = 64 << 10;

// Dynamic shared memory ends at a guard region: overruns fault.
char *shared_area() {
  static char *const area = [] {
    void *map = mmap(nullptr, SHARED_AREA + SHARED_GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(static_cast<char *>(map) + SHARED_AREA, SHARED_GUARD, PROT_NONE);
    return static_cast<char *>(map);
  }();
  return area;
}

void poison_shared(const Grid &grid) {
  if (grid.dynamic_shared) std::memset(grid.module->context->dynamic_shared, 0xff, grid.dynamic_shared);
  if (grid.static_shared_size) std::memset(grid.static_shared, 0xff, grid.static_shared_size);
}

// The blocks' order: as they are counted, backwards, or by steps that visit each block once.
struct BlockOrder {
  unsigned long long total, at, step;

  explicit BlockOrder(unsigned long long count) : total(count), at(0), step(1) {
    if (settings.order == Order::reverse) at = total - 1, step = total - 1;
    if (settings.order != Order::random || total < 2) return;
    at = random_number() % total;
    step = random_number() % total;
    while (std::gcd(step, total) != 1) step = (step + 1) % total;
  }
  void advance() { at = (at + step) % total; }
};

void order_threads(EmuContext &context) {
  static unsigned order[limit::threads];
  context.order = nullptr;
  if (settings.order == Order::forward) return;
  for (unsigned i = 0; i < context.threads; i++) order[i] = context.threads - 1 - i;
  if (settings.order == Order::random)
    for (unsigned i = context.threads - 1; i; i--) std::swap(order[i], order[random_number() % (i + 1)]);
  context.order = order;
}

bool running = false;

}  // namespace

int run_grid(const Grid &grid) {
  EmuContext &context = *grid.module->context;
  context.block_size = grid.threads;
  context.grid_size = grid.blocks;
  context.threads = grid.threads.x * grid.threads.y * grid.threads.z;
  context.dynamic_shared = shared_area() + SHARED_AREA - ((grid.dynamic_shared + 15) & ~15u);
  begin_blocks(context, *grid.kernel, grid.arguments);
  const unsigned long long row = grid.blocks.x, slice = row * grid.blocks.y;
  BlockOrder order(slice * grid.blocks.z);
  running = true;
  watch(settings.timeout_ms);
  for (unsigned long long i = 0; i < order.total; i++, order.advance()) {
    const unsigned long long at = order.at;
    context.block_index = {static_cast<unsigned>(at % row), static_cast<unsigned>(at % slice / row),
                           static_cast<unsigned>(at / slice)};
    poison_shared(grid);
    order_threads(context);
    run_block();
  }
  watch(0);
  running = false;
  return SUCCESS;
}

void after_fault() {
  if (!running) return;
  watch(0);
  running = false;
  drop_block();
}

bool kernel_running() { return running; }
uint3 running_block() { return running_context().block_index; }
uint3 running_thread() { return running_context().thread_index; }
const char *running_kernel() { return running_name(); }

bool in_shared_guard(unsigned long address) {
  const auto end = reinterpret_cast<unsigned long>(shared_area()) + SHARED_AREA;
  return address >= end && address < end + SHARED_GUARD;
}

}  // namespace emu
