// Fibers: stacks that one OS thread switches between. Knows nothing of CUDA.
#pragma once

#include <cstdint>

#if !defined(__x86_64__) || defined(EMU_UCONTEXT)
#include <ucontext.h>
#define EMU_PORTABLE_SWITCH 1
#endif

namespace emu {

// A place to continue from: the stack pointer, the rest being saved on the stack; or what the C library saves.
struct Continuation {
#ifdef EMU_PORTABLE_SWITCH
  ucontext_t context;
#else
  void *stack_pointer = nullptr;
#endif
};

struct Fiber {
  Continuation here;
  char *stack = nullptr;
};

void switch_between(Continuation &save, Continuation &to);

Fiber *take_fiber(void (*entry)());  // a resting one, or a new one that will begin in `entry`
void give_fiber(Fiber *fiber);       // it rests at the switch where it is now, and continues there when taken again
void drop_fibers();                  // all of them, wherever they are: after a fault nothing on their stacks matters
bool in_stack_guard(uintptr_t address);

}  // namespace emu
