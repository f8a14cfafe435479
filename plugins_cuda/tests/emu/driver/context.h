// Devices and their primary contexts: which is current, and whether it still works.
#pragma once

#include "cuda_types.h"

namespace emu {

int current_device();      // of this thread's context; 0 if it has none
int context_error();       // why a call that needs a context cannot be made now
bool device_exists(int device);
Handle context_of(int device);

}  // namespace emu

// Opens an entry point that works in a context: holds the lock, answers the sticky error.
#define IN_CONTEXT   \
  emu::Lock lock;    \
  if (int code = emu::context_error()) return code
