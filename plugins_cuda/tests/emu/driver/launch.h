// How often kernels were run.
#pragma once

namespace emu {

unsigned long long launch_count();

}  // namespace emu
