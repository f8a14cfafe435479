#include "context.h"

#include <cstdio>
#include <cstring>
#include <vector>

#include "memory.h"
#include "state.h"
#include "streams.h"

namespace emu {

namespace {

struct Context {
  int device;
} contexts[limit::devices] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};

thread_local std::vector<Context *> stack;  // the last is current
bool initialized = false;

Context *current() { return stack.empty() ? nullptr : stack.back(); }

}  // namespace

int current_device() { return current() ? current()->device : 0; }
bool device_exists(int device) { return device >= 0 && device < settings.devices; }

Handle context_of(int device) { return &contexts[device]; }

int context_error() {
  if (!initialized) return NOT_INITIALIZED;
  if (!current()) return INVALID_CONTEXT;
  return poisoned(current_device());
}

}  // namespace emu

using namespace emu;

API(cuInit, unsigned) {
  Lock lock;
  const int code = settings.init_code >= 0 ? settings.init_code : settings.devices ? SUCCESS : NO_DEVICE;
  initialized = code == SUCCESS;
  return code;
}

API(cuDriverGetVersion, int *version) {
  *version = settings.driver_version;
  return SUCCESS;
}

// NVRTC finds the library by its name, calls cuInit and, if that succeeds, asks for tables that no emulation has. So
// the *exported* cuInit fails; cuda.bindings gets the working one from cuGetProcAddress.
extern "C" __attribute__((visibility("default"))) CUresult cuInit(unsigned) { return NO_DEVICE; }
extern "C" __attribute__((visibility("default"))) CUresult cuDriverGetVersion(int *version) {
  return cuDriverGetVersion_v0(version);
}

API(cuDeviceGetCount, int *count) {
  Lock lock;
  if (!initialized) return NOT_INITIALIZED;
  *count = settings.devices;
  return SUCCESS;
}

API(cuDeviceGet, CUdevice *device, int ordinal) {
  Lock lock;
  if (!initialized) return NOT_INITIALIZED;
  if (!device_exists(ordinal)) return INVALID_DEVICE;
  *device = ordinal;
  return SUCCESS;
}

API(cuDeviceGetName, char *name, int size, CUdevice device) {
  if (!device_exists(device)) return INVALID_DEVICE;
  std::snprintf(name, static_cast<size_t>(size), "CPU emulation of sm_90");
  return SUCCESS;
}

API(cuDeviceGetUuid, unsigned char *uuid, CUdevice device) {
  if (!device_exists(device)) return INVALID_DEVICE;
  std::memset(uuid, 0x11, 16);
  uuid[15] = static_cast<unsigned char>(device);
  return SUCCESS;
}

API(cuDeviceTotalMem, size_t *bytes, CUdevice device) {
  if (!device_exists(device)) return INVALID_DEVICE;
  *bytes = settings.memory;
  return SUCCESS;
}

API(cuDeviceCanAccessPeer, int *can, CUdevice a, CUdevice b) {
  *can = a != b;
  return SUCCESS;
}

API(cuDeviceGetPCIBusId, char *text, int size, CUdevice device) {
  if (!device_exists(device)) return INVALID_DEVICE;
  std::snprintf(text, static_cast<size_t>(size), "0000:%02x:00.0", device);
  return SUCCESS;
}

// By the numbers of CUdevice_attribute; what is not listed is 0: absent or unsupported.
static int attribute(int which) {
  switch (which) {
    case 1: case 2: case 3: return limit::threads;               // threads per block; block size x, y
    case 4: return limit::block_z;
    case 5: return 2147483647;                                   // grid size x
    case 6: case 7: return limit::grid_yz;
    case 8: return limit::shared_default;                        // shared memory per block
    case 9: return 65536;                                        // constant memory
    case 10: return 32;                                          // warp size
    case 12: return 65536;                                       // registers per block
    case 13: return 1980000;                                     // clock, kHz
    case 16: return 132;                                         // multiprocessors
    case 31: return 1;                                           // concurrent kernels
    case 36: return 2619000;                                     // memory clock, kHz
    case 37: return 5120;                                        // memory bus, bits
    case 38: return 50 << 20;                                    // L2 bytes
    case 39: return 2048;                                        // threads per multiprocessor
    case 40: return 3;                                           // copy engines
    case 41: return 1;                                           // unified addressing
    case 75: return 9;                                           // compute capability
    case 76: return 0;
    case 78: return 1;                                           // stream priorities
    case 81: return limit::shared_multiprocessor;
    case 82: return 65536;                                       // registers per multiprocessor
    case 97: return limit::shared_opt_in;
    case 106: return 32;                                         // blocks per multiprocessor
    case 111: return 1024;                                       // shared memory reserved per block
    case 115: case 142: case 144: return 1;                      // memory pools, on the host too
    default: return 0;
  }
}

API(cuDeviceGetAttribute, int *value, int which, CUdevice device) {
  if (!device_exists(device)) return INVALID_DEVICE;
  *value = attribute(which);
  return SUCCESS;
}

API(cuDevicePrimaryCtxRetain, Handle *context, CUdevice device) {
  Lock lock;
  if (!initialized) return NOT_INITIALIZED;
  if (!device_exists(device)) return INVALID_DEVICE;
  *context = &contexts[device];
  return SUCCESS;
}

API(cuDevicePrimaryCtxRelease, CUdevice) { return SUCCESS; }

API(cuDevicePrimaryCtxGetState, CUdevice, unsigned *flags, int *active) {
  *flags = 0;
  *active = 1;
  return SUCCESS;
}

API(cuCtxGetCurrent, Handle *context) {
  *context = current();
  return SUCCESS;
}

API(cuCtxSetCurrent, Handle context) {
  if (!stack.empty()) stack.pop_back();
  if (context) stack.push_back(static_cast<Context *>(context));
  return SUCCESS;
}

API(cuCtxPushCurrent, Handle context) {
  stack.push_back(static_cast<Context *>(context));
  return SUCCESS;
}

API(cuCtxPopCurrent, Handle *context) {
  if (stack.empty()) return INVALID_CONTEXT;
  if (context) *context = stack.back();
  stack.pop_back();
  return SUCCESS;
}

API(cuCtxGetDevice, CUdevice *device) {
  if (!current()) return INVALID_CONTEXT;
  *device = current()->device;
  return SUCCESS;
}

API_SINCE(13000, cuCtxGetDevice, v2, CUdevice *device, Handle context) {
  const Context *const asked = context ? static_cast<Context *>(context) : current();
  if (!asked) return INVALID_CONTEXT;
  *device = asked->device;
  return SUCCESS;
}

API(cuCtxGetId, Handle context, unsigned long long *id) {
  *id = static_cast<unsigned long long>(context ? static_cast<Context *>(context)->device : current_device()) + 1;
  return SUCCESS;
}

API(cuCtxGetApiVersion, Handle, unsigned *version) {
  *version = static_cast<unsigned>(settings.driver_version);
  return SUCCESS;
}

API(cuCtxGetFlags, unsigned *flags) {
  *flags = 0;
  return SUCCESS;
}

API(cuCtxGetStreamPriorityRange, int *least, int *greatest) {
  *least = 0;
  *greatest = -5;
  return SUCCESS;
}

API(cuCtxSynchronize) {
  IN_CONTEXT;
  return finish_all();
}

struct ErrorText {
  int code;
  const char *name, *text;
};

static const ErrorText ERRORS[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {LAUNCH_TIMEOUT, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {ASSERT, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "capture was not ended in the stream in which it began"},
    {STREAM_CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {GRAPH_EXEC_UPDATE_FAILURE, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "the graph update was not performed"},
};

API(cuGetErrorName, CUresult code, const char **name) {
  for (const ErrorText &error : ERRORS)
    if (error.code == code) return *name = error.name, SUCCESS;
  *name = nullptr;
  return INVALID_VALUE;
}

API(cuGetErrorString, CUresult code, const char **text) {
  for (const ErrorText &error : ERRORS)
    if (error.code == code) return *text = error.text, SUCCESS;
  *text = nullptr;
  return INVALID_VALUE;
}
