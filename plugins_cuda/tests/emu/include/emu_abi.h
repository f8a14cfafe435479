// What a compiled kernel module and the emulated driver know of each other. Included by both; needs no other header.
#pragma once

struct uint3 {
  unsigned x, y, z;
};

// Computes a collective for everybody: `lanes` holds the argument of each participant (null for one that is absent);
// `which` is the mask of participating lanes for a warp, the number of threads for a block.
typedef void (*EmuCombine)(void **lanes, unsigned which);

// One per module. The scheduler writes it before a thread runs, the kernel reads it.
struct EmuContext {
  uint3 thread_index, block_index, block_size, grid_size;
  unsigned thread;        // linear index of the running thread in its block
  unsigned next;          // position in the starting order of the thread to start next
  unsigned threads;       // threads of the block
  unsigned exited;        // of which this many have returned
  unsigned char *done;    // by thread: it has returned
  const unsigned *order;  // starting order, or null for 0, 1, 2, ...
  char *dynamic_shared;
  void (*block_meets)(unsigned line, EmuCombine combine, void *argument);
  void (*warp_meets)(unsigned mask, const char *operation, EmuCombine combine, void *argument);
  void (*stop)(int code, const char *what, unsigned line);
};

struct EmuKernel {
  const char *name;
  void (*run)(void **arguments);  // starts threads until none is left to start
  unsigned threads;               // a block may have, by __launch_bounds__
  unsigned parameters;
  const unsigned *sizes, *alignments;
  const unsigned char *pointers;  // by parameter: it is a pointer
};

enum { EMU_ABI = 1 };

struct EmuModule {
  unsigned abi;
  EmuContext *context;
  unsigned kernels;
  const EmuKernel *kernel;
};
