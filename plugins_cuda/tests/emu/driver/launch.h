// How often kernels were run, and a launch as work.
#pragma once

#include "../include/emu_abi.h"
#include "streams.h"

namespace emu {

unsigned long long launch_count();

// The work of a launch: what a device would refuse is refused, and the arguments are copied. Answers a code.
int work_of_launch(Handle kernel, uint3 grid, uint3 block, unsigned dynamic_shared, void **values, Work &work);

}  // namespace emu
