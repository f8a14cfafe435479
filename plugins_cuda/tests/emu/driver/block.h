// One block: starts its threads on fibers and lets them meet. Whatever cannot end is reported as a fault.
#pragma once

#include "../include/emu_abi.h"

namespace emu {

void begin_blocks(EmuContext &context, const EmuKernel &kernel, void **arguments);
void run_block();
void drop_block();
const EmuContext &running_context();
const char *running_name();

}  // namespace emu
