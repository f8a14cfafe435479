// Launching: what a device would refuse is refused, arguments are copied, the grid is queued, faults are put in words.
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "context.h"
#include "faults.h"
#include "fibers.h"
#include "memory.h"
#include "modules.h"
#include "scheduler.h"
#include "state.h"
#include "streams.h"
#include "launch.h"

namespace emu {

namespace {

unsigned long long launches = 0;

struct Arguments {
  std::vector<char> bytes;
  std::vector<void *> pointers;
};

struct Request {
  std::shared_ptr<const Kernel> kernel;
  uint3 grid, block;
  unsigned dynamic_shared;
};

int refuse_launch(const Kernel &kernel, int code, const std::string &what) {
  return refuse(code, "launch", what, kernel.entry->name);
}

std::string text_of(uint3 size) {
  return "(" + std::to_string(size.x) + "," + std::to_string(size.y) + "," + std::to_string(size.z) + ")";
}

int check_limits(const Request &r) {
  const uint3 g = r.grid, b = r.block;
  const unsigned long long threads = 1ull * b.x * b.y * b.z;
  if (!g.x || !g.y || !g.z || g.x > 2147483647u || g.y > limit::grid_yz || g.z > limit::grid_yz)
    return refuse_launch(*r.kernel, INVALID_VALUE,
                         "grid " + text_of(g) + " is outside 1..2147483647, 1..65535, 1..65535");
  if (!threads || b.x > limit::threads || b.y > limit::threads || b.z > limit::block_z || threads > limit::threads)
    return refuse_launch(*r.kernel, INVALID_VALUE,
                         "block " + text_of(b) + " is outside 1..1024, 1..1024, 1..64, at most 1024 threads");
  if (threads > r.kernel->entry->threads)
    return refuse_launch(*r.kernel, INVALID_VALUE, "block " + text_of(b) + " has more threads than the kernel's " +
                         "__launch_bounds__ of " + std::to_string(r.kernel->entry->threads));
  if (r.dynamic_shared > r.kernel->dynamic_limit)
    return refuse_launch(*r.kernel, INVALID_VALUE,
                         std::to_string(r.dynamic_shared) + " bytes of dynamic shared memory; the kernel's limit is " +
                             std::to_string(r.kernel->dynamic_limit));
  const Module &module = *r.kernel->module;
  if (module.table->kernels > 1) return SUCCESS;  // whose the static shared memory is, is known only then
  const size_t total = module.shared_size + r.dynamic_shared;
  const size_t allowed = r.kernel->dynamic_limit > limit::shared_default ? limit::shared_opt_in : limit::shared_default;
  if (module.shared_size > limit::shared_default || total > allowed)
    return refuse_launch(*r.kernel, INVALID_VALUE, std::to_string(module.shared_size) + " bytes of static and " +
                         std::to_string(r.dynamic_shared) + " of dynamic shared memory are more than a block has");
  return SUCCESS;
}

// The driver cannot know how many values the caller gave; reading one too many may fault here as it may there.
int copy_arguments(const EmuKernel &entry, void **values, Arguments &copied) {
  size_t room = 0;
  for (unsigned i = 0; i < entry.parameters; i++) room += (entry.sizes[i] + 31u) & ~15u;
  copied.bytes.resize(room + 16);
  copied.pointers.resize(entry.parameters + 1);
  return guarded([&] {
    size_t at = reinterpret_cast<uintptr_t>(copied.bytes.data());
    for (unsigned i = 0; i < entry.parameters; i++) {
      at = (at + 15) & ~size_t(15);
      copied.pointers[i] = std::memcpy(reinterpret_cast<void *>(at), values[i], entry.sizes[i]);
      at += entry.sizes[i];
    }
    return int(SUCCESS);
  });
}

// A kernel that is given an address of ordinary host memory would work here and fail on a device.
int check_pointers(const Request &r, const Arguments &arguments) {
  const EmuKernel &entry = *r.kernel->entry;
  for (unsigned i = 0; i < entry.parameters; i++) {
    if (!entry.pointers[i]) continue;
    uintptr_t address;
    std::memcpy(&address, arguments.pointers[i], sizeof address);
    if (!address || find_allocation(address) || in_quarantine(address)) continue;
    Fault fault;
    fault.code = ILLEGAL_ADDRESS;
    fault.kind = "host pointer";
    fault.work = entry.name;
    fault.address = address;
    fault.what = "argument " + std::to_string(i) + " points to no device memory: it lies " + describe_address(address);
    set_fault(std::move(fault));
    return ILLEGAL_ADDRESS;
  }
  return SUCCESS;
}

int report_margins(const Request &r) {
  Fault fault;
  if (!margins_damaged(fault)) return SUCCESS;
  fault.code = ILLEGAL_ADDRESS;
  fault.kind = "out of bounds";
  fault.work = r.kernel->entry->name;
  set_fault(std::move(fault));
  return ILLEGAL_ADDRESS;
}

int run(const Request &r, Arguments &arguments) {
  if (const int code = check_pointers(r, arguments)) return code;
  const Module &module = *r.kernel->module;
  const Grid grid{module.table, r.kernel->entry, r.grid, r.block, r.dynamic_shared, module.shared, module.shared_size,
                  arguments.pointers.data()};
  launches++;
  if (const int code = run_grid(grid)) return code;
  return report_margins(r);
}

int prepare(const Request &r, void **values, Work &work) {
  if (const int code = check_limits(r)) return code;
  if (r.kernel->entry->parameters && !values)
    return refuse_launch(*r.kernel, INVALID_VALUE, "the kernel takes arguments and none was given");
  const auto arguments = std::make_shared<Arguments>();
  if (copy_arguments(*r.kernel->entry, values, *arguments))
    return refuse_launch(*r.kernel, INVALID_VALUE, "the arguments cannot be read: are there " +
                         std::to_string(r.kernel->entry->parameters) + " of them?");
  work = [r, arguments] { return run(r, *arguments); };
  return SUCCESS;
}

int launch(const Request &r, Handle stream_handle, void **values) {
  const StreamPtr stream = stream_of(stream_handle);
  if (!stream) return refuse_launch(*r.kernel, INVALID_HANDLE, "the stream does not exist (any more)");
  Work work;
  if (const int code = prepare(r, values, work)) return code;
  return enqueue(stream, std::move(work));
}

void explain_signal(Fault &fault, int signal, uintptr_t address) {
  fault.in_kernel = kernel_running();
  fault.work = fault.in_kernel ? running_kernel() : "copy";
  if (fault.in_kernel) fault.block = running_block(), fault.thread = running_thread();
  fault.code = LAUNCH_FAILED;
  if (signal == SIGALRM) {
    fault.code = LAUNCH_TIMEOUT;
    fault.kind = "timeout";
    fault.what = "it ran longer than " + std::to_string(settings.timeout_ms) +
                 " ms: an endless loop, or a wait for another block (blocks run one after another here)";
  } else if (signal == SIGFPE) {
    fault.kind = "division";
    fault.what = "an integer division by zero (a device answers some value)";
  } else if (signal == SIGILL || signal == SIGTRAP) {
    fault.code = ILLEGAL_ADDRESS;
    fault.kind = "array index";
    fault.what = "an index outside a declared array (shared or local)";
  } else {
    fault.code = ILLEGAL_ADDRESS;
    fault.address = address;
    fault.kind = in_quarantine(address) ? "use after free" : "out of bounds";
    if (in_stack_guard(address))
      fault.kind = "stack", fault.what = "the thread's stack overflowed (128 KiB here)";
    else if (in_shared_guard(address))
      fault.what = "an access past the end of dynamic shared memory";
    else
      fault.what = "an access " + describe_address(address);
  }
}

const bool explaining = (explain_signals(explain_signal), true);

}  // namespace

unsigned long long launch_count() { return launches; }

int work_of_launch(Handle handle, uint3 grid, uint3 block, unsigned dynamic_shared, void **values, Work &work) {
  const auto kernel = kernel_of(handle);
  return kernel ? prepare({kernel, grid, block, dynamic_shared}, values, work) : int(INVALID_HANDLE);
}

}  // namespace emu

using namespace emu;

API(cuLaunchKernel, Handle handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
    unsigned shared, Handle stream, void **values, void **) {
  IN_CONTEXT;
  const auto kernel = kernel_of(handle);
  if (!kernel) return INVALID_HANDLE;
  return launch({kernel, {gx, gy, gz}, {bx, by, bz}, shared}, stream, values);
}

API(cuLaunchKernelEx, const LaunchConfiguration *c, Handle handle, void **values, void **) {
  IN_CONTEXT;
  const auto kernel = kernel_of(handle);
  if (!kernel) return INVALID_HANDLE;
  for (unsigned i = 0; i < c->attribute_count; i++) {
    const LaunchAttribute &a = c->attributes[i];
    const bool together = (a.id == 2 && a.cooperative) || (a.id == 4 && a.cluster.x * a.cluster.y * a.cluster.z > 1);
    if (together)
      return refuse_launch(*kernel, NOT_SUPPORTED,
                           "cooperative and cluster launches are not emulated: blocks run one after another");
  }
  const uint3 grid = {c->grid_x, c->grid_y, c->grid_z}, block = {c->block_x, c->block_y, c->block_z};
  return launch({kernel, grid, block, c->shared_bytes}, c->stream, values);
}
