// Entry points of memory: allocation, pools, copies, fills, what a pointer is.
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "context.h"
#include "faults.h"
#include "handles.h"
#include "memory.h"
#include "state.h"
#include "streams.h"

namespace {

using namespace emu;

struct Pool {
  int device;
  Place place = Place::device;
  unsigned long long threshold = 0;
};

Handles<Pool> pools;
Pool *own_pool[limit::devices], *chosen_pool[limit::devices];

Pool *default_pool(int device) {
  if (!own_pool[device]) own_pool[device] = pools.add(new Pool{device});
  return own_pool[device];
}

bool on_host(const MemoryLocation &where) { return where.type > 1; }  // 1: a device; 2 to 4: the host or a part of it

Pool *host_pool() {
  static Pool *const pool = pools.add(new Pool{0, Place::pinned});
  return pool;
}

int allocate_into(CUdeviceptr *out, size_t size, int device, Place place, Handle pool) {
  void *const memory = allocate(size, device, place, pool);
  if (!memory) return refuse(OUT_OF_MEMORY, "memory", "no room for " + std::to_string(size) + " bytes");
  *out = reinterpret_cast<CUdeviceptr>(memory);
  return SUCCESS;
}

// While the context is broken nothing can be freed, but the reset will.
int sticky_for_free(CUdeviceptr pointer) {
  const int code = context_error();
  if (code) release_at_reset(pointer);
  return code;
}

int no_such_allocation(CUdeviceptr pointer) {
  return refuse(INVALID_VALUE, "free", "no allocation begins there: the address lies " + describe_address(pointer));
}

// The ranges that the driver knows must lie inside their allocation; other addresses are the host's own memory.
int check_range(const char *work, CUdeviceptr pointer, size_t size) {
  if (in_quarantine(pointer))
    return refuse(INVALID_VALUE, "use after free", "the range begins " + describe_address(pointer), work);
  const Allocation *const a = find_allocation(pointer);
  if (!a) return SUCCESS;
  const size_t room = reinterpret_cast<CUdeviceptr>(a->start) + a->size - pointer;
  if (size <= room) return SUCCESS;
  char text[128];
  std::snprintf(text, sizeof text, "%zu bytes do not fit: %zu are left of an allocation of %zu", size, room, a->size);
  return refuse(INVALID_VALUE, "range", text, work);
}

bool known(CUdeviceptr pointer) { return find_allocation(pointer) != nullptr; }

int copy(const char *work, CUdeviceptr to, CUdeviceptr from, size_t size, const StreamPtr &stream) {
  if (!stream) return INVALID_HANDLE;
  if (!size) return SUCCESS;
  if (const int code = check_range(work, to, size)) return code;
  if (const int code = check_range(work, from, size)) return code;
  void *const target = reinterpret_cast<void *>(to);
  const char *const source = reinterpret_cast<const char *>(from);
  if (!known(from) && !stream->capture) {  // pageable memory of the host is read before the call returns
    const auto staged = std::make_shared<std::vector<char>>(source, source + size);
    return enqueue(stream, [=] {
      std::memcpy(target, staged->data(), size);
      return int(SUCCESS);
    });
  }
  const int code = enqueue(stream, [=] {
    std::memmove(target, source, size);
    return int(SUCCESS);
  });
  if (code || known(to) || stream->capture) return code;
  return finish(stream);  // into pageable memory of the host: done when the call returns
}

int copy_and_wait(const char *work, CUdeviceptr to, CUdeviceptr from, size_t size) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(nullptr);
  if (const int code = copy(work, to, from, size, stream)) return code;
  return finish(stream);
}

template <class T>
int fill(CUdeviceptr pointer, T value, size_t count, Handle handle, bool wait) {
  ON_STREAM(handle);
  if (!known(pointer) || pointer % sizeof(T))
    return refuse(INVALID_VALUE, "range", "a fill that begins " + describe_address(pointer), "memset");
  if (const int code = check_range("memset", pointer, count * sizeof(T))) return code;
  const int code = enqueue(stream, [=] {
    T *const target = reinterpret_cast<T *>(pointer);
    for (size_t i = 0; i < count; i++) target[i] = value;
    return int(SUCCESS);
  });
  return code || !wait ? code : finish(stream);
}

CUdeviceptr address(const void *pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

}  // namespace

API(cuMemAlloc, CUdeviceptr *out, size_t size) {
  IN_CONTEXT;
  return size ? allocate_into(out, size, current_device(), Place::device, nullptr) : INVALID_VALUE;
}

API(cuMemAllocFromPoolAsync, CUdeviceptr *out, size_t size, Handle pool_handle, Handle stream_handle) {
  ON_STREAM(stream_handle);
  const Pool *const pool = pools.find(pool_handle);
  if (!pool) return INVALID_VALUE;
  if (stream->capture)
    return refuse(NOT_SUPPORTED, "capture", "the emulation allocates nothing inside a captured graph");
  *out = 0;
  return size ? allocate_into(out, size, pool->device, pool->place, pool_handle) : SUCCESS;
}

API(cuMemAllocAsync, CUdeviceptr *out, size_t size, Handle stream) {
  Lock lock;
  return cuMemAllocFromPoolAsync_v0(out, size, default_pool(current_device()), stream);
}

API(cuMemFree, CUdeviceptr pointer) {
  Lock lock;
  if (const int code = sticky_for_free(pointer)) return code;
  if (!pointer) return SUCCESS;
  if (const int code = finish_all()) return release_at_reset(pointer), code;
  return release(pointer) ? int(SUCCESS) : no_such_allocation(pointer);
}

API(cuMemFreeAsync, CUdeviceptr pointer, Handle handle) {
  Lock lock;
  if (const int code = sticky_for_free(pointer)) return code;
  if (!pointer) return SUCCESS;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  const Allocation *const a = find_allocation(pointer);
  if (!a || address(a->start) != pointer) return no_such_allocation(pointer);
  release_at_reset(pointer);  // a fault or the reset may come before its turn
  return enqueue(stream, [pointer] { return release(pointer) ? int(SUCCESS) : no_such_allocation(pointer); });
}

API(cuMemHostAlloc, void **out, size_t size, unsigned) {
  IN_CONTEXT;
  if (!size) return INVALID_VALUE;
  *out = allocate(size, current_device(), Place::pinned, nullptr);
  return *out ? SUCCESS : OUT_OF_MEMORY;
}

API(cuMemAllocHost, void **out, size_t size) { return cuMemHostAlloc_v0(out, size, 0); }

API(cuMemFreeHost, void *pointer) { return cuMemFree_v0(address(pointer)); }

API(cuMemGetInfo, size_t *free_bytes, size_t *total) {
  IN_CONTEXT;
  *total = settings.memory;
  *free_bytes = settings.memory - usage().bytes;
  return SUCCESS;
}

// ---- pools

API(cuMemPoolCreate, Handle *out, const PoolProperties *properties) {
  IN_CONTEXT;
  const MemoryLocation &where = properties->location;
  if (!on_host(where) && !device_exists(where.id)) return INVALID_VALUE;
  *out = pools.add(on_host(where) ? new Pool{current_device(), Place::pinned} : new Pool{where.id});
  return SUCCESS;
}

API(cuMemPoolDestroy, Handle handle) {
  Lock lock;
  return pools.destroy(handle) ? SUCCESS : INVALID_VALUE;
}

API(cuMemPoolTrimTo, Handle pool, size_t) {
  Lock lock;
  return pools.find(pool) ? SUCCESS : INVALID_VALUE;
}

API(cuDeviceGetDefaultMemPool, Handle *out, CUdevice device) {
  Lock lock;
  if (!device_exists(device)) return INVALID_DEVICE;
  *out = default_pool(device);
  return SUCCESS;
}

API(cuDeviceGetMemPool, Handle *out, CUdevice device) {
  Lock lock;
  if (!device_exists(device)) return INVALID_DEVICE;
  *out = chosen_pool[device] ? chosen_pool[device] : default_pool(device);
  return SUCCESS;
}

API(cuDeviceSetMemPool, CUdevice device, Handle handle) {
  Lock lock;
  if (!device_exists(device)) return INVALID_DEVICE;
  if (!pools.find(handle)) return INVALID_VALUE;
  chosen_pool[device] = pools.find(handle);
  return SUCCESS;
}

API(cuMemGetDefaultMemPool, Handle *out, const MemoryLocation *where, int) {
  Lock lock;
  if (on_host(*where)) return *out = host_pool(), SUCCESS;
  return cuDeviceGetDefaultMemPool_v0(out, where->id);
}

API(cuMemGetMemPool, Handle *out, const MemoryLocation *where, int) {
  Lock lock;
  if (on_host(*where)) return *out = host_pool(), SUCCESS;
  return cuDeviceGetMemPool_v0(out, where->id);
}

enum PoolAttribute { LAST_REUSE_POLICY = 3, RELEASE_THRESHOLD = 4, RESERVED_HIGH = 6, USED_HIGH = 8 };

API(cuMemPoolSetAttribute, Handle handle, int attribute, const void *value) {
  Lock lock;
  Pool *const pool = pools.find(handle);
  if (!pool) return INVALID_VALUE;
  if (attribute == RELEASE_THRESHOLD) pool->threshold = *static_cast<const unsigned long long *>(value);
  return SUCCESS;
}

API(cuMemPoolGetAttribute, Handle handle, int attribute, void *value) {
  Lock lock;
  const Pool *const pool = pools.find(handle);
  if (!pool) return INVALID_VALUE;
  const Usage use = usage_of(handle);
  if (attribute <= LAST_REUSE_POLICY)
    *static_cast<int *>(value) = 1;
  else if (attribute == RELEASE_THRESHOLD)
    *static_cast<unsigned long long *>(value) = pool->threshold;
  else if (attribute == RESERVED_HIGH || attribute == USED_HIGH)
    *static_cast<unsigned long long *>(value) = use.peak;
  else
    *static_cast<unsigned long long *>(value) = use.bytes;
  return SUCCESS;
}

API(cuMemPoolSetAccess, Handle, const AccessDescriptor *, size_t) { return SUCCESS; }

API(cuMemPoolGetAccess, int *flags, Handle, const MemoryLocation *) {
  *flags = 3;  // read and write
  return SUCCESS;
}

// ---- copies and fills

#define COPY_ENTRY(name, To, From)                                                    \
  API(name, To to, From from, size_t size) {                                          \
    return copy_and_wait("memcpy", (CUdeviceptr)(to), (CUdeviceptr)(from), size);     \
  }                                                                                   \
  API(name##Async, To to, From from, size_t size, Handle stream) {                    \
    IN_CONTEXT;                                                                       \
    return copy("memcpy", (CUdeviceptr)(to), (CUdeviceptr)(from), size, stream_of(stream)); \
  }
COPY_ENTRY(cuMemcpy, CUdeviceptr, CUdeviceptr)
COPY_ENTRY(cuMemcpyHtoD, CUdeviceptr, const void *)
COPY_ENTRY(cuMemcpyDtoH, void *, CUdeviceptr)
COPY_ENTRY(cuMemcpyDtoD, CUdeviceptr, CUdeviceptr)

#define FILL_ENTRY(name, T)                                                                                     \
  API(name, CUdeviceptr pointer, T value, size_t count) { return fill<T>(pointer, value, count, nullptr, true); } \
  API(name##Async, CUdeviceptr pointer, T value, size_t count, Handle stream) {                                 \
    return fill<T>(pointer, value, count, stream, false);                                                       \
  }
FILL_ENTRY(cuMemsetD8, unsigned char)
FILL_ENTRY(cuMemsetD16, unsigned short)
FILL_ENTRY(cuMemsetD32, unsigned)

// ---- what a pointer is, by the numbers of CUpointer_attribute

API(cuPointerGetAttribute, void *value, int attribute, CUdeviceptr pointer) {
  Lock lock;
  const Allocation *const a = find_allocation(pointer);
  if (!a) return INVALID_VALUE;
  switch (attribute) {
    case 1: *static_cast<Handle *>(value) = context_of(a->device); return SUCCESS;
    case 2: *static_cast<unsigned *>(value) = a->place == Place::pinned ? 1 : 2; return SUCCESS;
    case 3: *static_cast<CUdeviceptr *>(value) = pointer; return SUCCESS;
    case 4:
      if (a->place != Place::pinned) return INVALID_VALUE;
      *static_cast<CUdeviceptr *>(value) = pointer;
      return SUCCESS;
    case 7: *static_cast<unsigned long long *>(value) = a->serial; return SUCCESS;
    case 8: *static_cast<unsigned char *>(value) = 0; return SUCCESS;
    case 9: *static_cast<int *>(value) = a->device; return SUCCESS;
    case 11: *static_cast<CUdeviceptr *>(value) = address(a->start); return SUCCESS;
    case 12: *static_cast<size_t *>(value) = a->size; return SUCCESS;
    case 17: *static_cast<Handle *>(value) = a->pool; return SUCCESS;
    default: return NOT_SUPPORTED;
  }
}

API(cuPointerGetAttributes, unsigned count, const int *attributes, void **values, CUdeviceptr pointer) {
  Lock lock;
  for (unsigned i = 0; i < count; i++)
    if (cuPointerGetAttribute_v0(values[i], attributes[i], pointer) != SUCCESS)
      // What is unknown is null; the ordinal of no device is -2.
      *static_cast<int *>(values[i]) = attributes[i] == 9 ? -2 : 0;
  return SUCCESS;
}
