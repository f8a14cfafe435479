/* The structures of DLPack 1.0 (https://dmlc.github.io/dlpack/latest/c_api.html). Their layout is the protocol. */
#ifndef PLUGRAD_DLPACK_H
#define PLUGRAD_DLPACK_H

#include <stdint.h>

typedef struct {
  int32_t kind, number;
} pg_dl_device;

typedef struct {
  uint8_t code, bits;
  uint16_t lanes;
} pg_dl_dtype;

typedef struct {
  void *data;
  pg_dl_device device;
  int32_t ndim;
  pg_dl_dtype dtype;
  int64_t *shape, *strides; /* in elements; no strides: C order */
  uint64_t byte_offset;
} pg_dl_tensor;

typedef struct pg_dl_old {
  pg_dl_tensor tensor;
  void *context;
  void (*deleter)(struct pg_dl_old *self);
} pg_dl_old;

typedef struct pg_dl_new {
  uint32_t major, minor;
  void *context;
  void (*deleter)(struct pg_dl_new *self);
  uint64_t flags; /* 1: read-only, 2: copied */
  pg_dl_tensor tensor;
} pg_dl_new;

#endif
