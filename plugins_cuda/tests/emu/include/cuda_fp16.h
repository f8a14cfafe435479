// The name under which CUDA ships its 16-bit types; a kernel asks for them by including it.
#pragma once

#include "emu_half.h"
