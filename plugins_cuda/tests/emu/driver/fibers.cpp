#include "fibers.h"

#include <sys/mman.h>

#include <cstddef>
#include <vector>

#ifndef EMU_PORTABLE_SWITCH
// Only the registers that a function must preserve are saved: the switch is a call.
extern "C" void emu_switch(void **save, void *to);
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
.type emu_switch, @function
emu_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
.size emu_switch, .-emu_switch
)");
#endif

namespace emu {

namespace {

constexpr size_t PAGE = 4096, STACK = 128 << 10, GUARD = 16 * PAGE;
std::vector<Fiber *> resting, all;

#ifdef EMU_PORTABLE_SWITCH
void prepare(Fiber *fiber, void (*entry)()) {
  getcontext(&fiber->here.context);
  fiber->here.context.uc_stack.ss_sp = fiber->stack + GUARD;
  fiber->here.context.uc_stack.ss_size = STACK;
  fiber->here.context.uc_link = nullptr;
  makecontext(&fiber->here.context, entry, 0);
}
#else
void prepare(Fiber *fiber, void (*entry)()) {
  // Stacks that all begin at the same offset in a page would compete for the same cache lines.
  const size_t colour = all.size() * 192 % (PAGE - 64);
  void **top = reinterpret_cast<void **>(fiber->stack + GUARD + STACK - (colour & ~size_t(63)));
  *--top = nullptr;  // the return address of `entry`, which never returns; it also aligns the stack as a call would
  *--top = reinterpret_cast<void *>(entry);
  for (int saved = 0; saved < 6; saved++) *--top = nullptr;
  fiber->here.stack_pointer = top;
}
#endif

}  // namespace

void switch_between(Continuation &save, Continuation &to) {
#ifdef EMU_PORTABLE_SWITCH
  swapcontext(&save.context, &to.context);
#else
  emu_switch(&save.stack_pointer, to.stack_pointer);
#endif
}

Fiber *take_fiber(void (*entry)()) {
  if (!resting.empty()) {
    Fiber *fiber = resting.back();
    resting.pop_back();
    return fiber;
  }
  Fiber *fiber = new Fiber;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *map = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (map == MAP_FAILED) {
    delete fiber;
    return nullptr;
  }
  fiber->stack = static_cast<char *>(map);
  mprotect(fiber->stack, GUARD, PROT_NONE);
  prepare(fiber, entry);
  all.push_back(fiber);
  return fiber;
}

void give_fiber(Fiber *fiber) { resting.push_back(fiber); }

void drop_fibers() {
  for (Fiber *fiber : all) {
    munmap(fiber->stack, GUARD + STACK);
    delete fiber;
  }
  all.clear();
  resting.clear();
}

bool in_stack_guard(uintptr_t address) {
  for (const Fiber *fiber : all) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(fiber->stack);
    if (address >= begin && address < begin + GUARD) return true;
  }
  return false;
}

}  // namespace emu
