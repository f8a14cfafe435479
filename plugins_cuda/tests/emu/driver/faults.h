// Faults: what went wrong, where, and how work is left when it does. Neither a signal nor an error that the emulation
// finds kills the process.
#pragma once

#include <functional>
#include <string>

#include "../include/emu_abi.h"
#include "cuda_types.h"

namespace emu {

struct Fault {
  int code = SUCCESS;
  std::string kind, what, work;  // work: the kernel, or "memcpy", "memset"
  uint3 block{}, thread{};
  bool in_kernel = false;  // block and thread mean something
  unsigned long long address = 0;
};

const Fault &last_fault();
void set_fault(Fault fault);
void clear_fault();
int refuse(int code, std::string kind, std::string what, std::string work = "");  // records, answers the code

// Runs work; a fault in it, or abandon(), ends it at once with the fault's code. May be nested.
int guarded(const std::function<int()> &work);
[[noreturn]] void abandon(Fault fault);  // only inside guarded()

// How a signal in guarded work is put into words, set by those who know: fills in what they can.
void explain_signals(void (*explain)(Fault &fault, int signal, uintptr_t address));

// Ends guarded work that runs longer (an endless loop); 0 stops the watch.
void watch(unsigned milliseconds);

}  // namespace emu
