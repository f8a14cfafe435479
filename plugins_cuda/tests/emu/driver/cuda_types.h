// The few types and numbers of the CUDA driver API that the emulation needs, declared from the API's documentation.
#pragma once

#include <cstddef>
#include <cstdint>

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using Handle = void *;  // of a context, stream, event, module, kernel, pool, graph ...
using HostFunction = void (*)(void *);

enum Code : int {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  LAUNCH_TIMEOUT = 702,
  ASSERT = 710,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801,
  STREAM_CAPTURE_UNSUPPORTED = 900,
  STREAM_CAPTURE_UNMATCHED = 903,
  STREAM_CAPTURE_UNJOINED = 904,
  GRAPH_EXEC_UPDATE_FAILURE = 910,
};

struct MemoryLocation {
  int type;
  int id;
};

struct PoolProperties {
  int allocation_type;
  int handle_types;
  MemoryLocation location;
  void *security;
  size_t max_size;
  unsigned short usage;
  unsigned char reserved[54];
};

struct AccessDescriptor {
  MemoryLocation location;
  int flags;
};

struct LaunchAttribute {
  int id;
  char padding[4];
  union {
    char bytes[64];
    int cooperative;
    struct {
      unsigned x, y, z;
    } cluster;
  };
};

struct LaunchConfiguration {
  unsigned grid_x, grid_y, grid_z;
  unsigned block_x, block_y, block_z;
  unsigned shared_bytes;
  Handle stream;
  LaunchAttribute *attributes;
  unsigned attribute_count;
};

struct InstantiateParameters {
  unsigned long long flags;
  Handle upload_stream;
  Handle error_node;
  int result;
};

struct KernelNodeParameters {
  Handle function;
  unsigned grid_x, grid_y, grid_z;
  unsigned block_x, block_y, block_z;
  unsigned shared_bytes;
  void **values;
  void **extra;
  Handle kernel;  // where there is no function
  Handle context;
};

struct UpdateResult {
  int result;
  Handle error_node, error_from_node;
};

namespace stream_handle {
inline const Handle legacy = reinterpret_cast<Handle>(1), per_thread = reinterpret_cast<Handle>(2);
}

namespace limit {
inline constexpr unsigned threads = 1024, block_z = 64, grid_yz = 65535, devices = 8;
inline constexpr unsigned shared_default = 48 << 10, shared_opt_in = 227 << 10, shared_multiprocessor = 228 << 10;
}  // namespace limit
