// Lets g++ compile the text of CUDA C++ kernels: put before the text by HostToolchain, as NVRTC puts its own built-in
// declarations. Includes no header of the standard library: NVRTC has none either, and they would slow every build.
#pragma once

#define PLUGRAD_EMULATED 1
#define __CUDACC__ 1
#define __CUDA_ARCH__ 900

#include "emu_abi.h"
#include "emu_types.h"
#include "emu_launch.h"
#include "emu_collectives.h"
#include "emu_atomics.h"
#include "emu_math.h"
#include "emu_intrinsics.h"
