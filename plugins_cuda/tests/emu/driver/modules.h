// Modules: shared objects that the host compiler made of a kernel text, in the place of cubins.
#pragma once

#include <memory>

#include "../include/emu_abi.h"
#include "cuda_types.h"

namespace emu {

// Queued work and graphs hold the kernel that they run, and so its module: unloading ends the handles only.
struct Module {
  void *object = nullptr;  // of dlopen
  const EmuModule *table = nullptr;
  char *shared = nullptr;  // the module's __shared__ variables
  size_t shared_size = 0;

  Module() = default;
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;
  ~Module();
};

struct Kernel {
  std::shared_ptr<Module> module;
  const EmuKernel *entry;
  unsigned dynamic_limit;
};

std::shared_ptr<Kernel> kernel_of(Handle handle);  // null: there is no such kernel

}  // namespace emu
