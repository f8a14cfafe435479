// Runs a grid: block after block, the threads of a block as fibers that meet at barriers and warp operations.
#pragma once

#include "../include/emu_abi.h"

namespace emu {

struct Grid {
  const EmuModule *module;
  const EmuKernel *kernel;
  uint3 blocks, threads;
  unsigned dynamic_shared;
  char *static_shared;
  unsigned long static_shared_size;
  void **arguments;
};

int run_grid(const Grid &grid);  // inside guarded(): a fault leaves by abandon()
void after_fault();              // forgets the fibers of the kernel that was left
bool kernel_running();
uint3 running_block();
uint3 running_thread();
const char *running_kernel();
bool in_shared_guard(unsigned long address);
unsigned long long switch_count();

}  // namespace emu
