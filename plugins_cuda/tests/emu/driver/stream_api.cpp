// Entry points of streams and events.
#include <ctime>

#include "context.h"
#include "faults.h"
#include "graphs.h"
#include "handles.h"
#include "state.h"
#include "streams.h"

namespace {

using namespace emu;

struct Event {
  unsigned flags = 0;
  MarkPtr mark;  // of the last record; null before the first
  bool timed() const { return !(flags & 2); }
};

Handles<Event> events;

double now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

int reach(const MarkPtr &mark) {
  if (mark->reached) return SUCCESS;
  return finish(mark->stream, mark->position);
}

// Deferred work does not run by itself; but who asks a thousand times is waiting, and must not wait for ever.
int not_ready(const StreamPtr &stream) {
  static unsigned asked = 0;
  if (++asked % 1000 == 0) finish(stream, stream->ran + 1);
  return poisoned(stream->device) ? poisoned(stream->device) : int(NOT_READY);
}

// Waiting for an event of a capture makes the waiting stream part of it, or joins a forked stream to its origin.
int join_capture(const StreamPtr &stream, const Mark &mark) {
  if (stream->capture && stream->capture != mark.graph)
    return refuse(STREAM_CAPTURE_UNSUPPORTED, "capture", "the stream is captured by another graph");
  if (stream->capture) {
    if (mark.stream != stream) mark.stream->joined = true;
    return SUCCESS;
  }
  if (!mark.stream->capture || mark.stream->capture != mark.graph)
    return refuse(INVALID_VALUE, "capture", "the event was recorded in a capture that has ended");
  stream->capture = mark.graph;
  stream->capture_id = mark.stream->capture_id;
  stream->origin = mark.stream->origin;
  stream->joined = false;
  return SUCCESS;
}

}  // namespace

API(cuStreamCreateWithPriority, Handle *out, unsigned flags, int priority) {
  IN_CONTEXT;
  *out = make_stream(current_device(), flags, priority).get();
  return SUCCESS;
}

API(cuStreamCreate, Handle *out, unsigned flags) { return cuStreamCreateWithPriority_v0(out, flags, 0); }

API(cuStreamDestroy, Handle handle) {
  Lock lock;
  const StreamPtr stream = stream_of(handle);
  if (!stream || stream->legacy) return INVALID_HANDLE;
  destroy_stream(stream);
  return SUCCESS;
}

API(cuStreamSynchronize, Handle handle) {
  ON_STREAM(handle);
  if (const int code = capture_error(stream)) return code;
  if (!stream->legacy) return finish(stream);
  for (const StreamPtr &other : all_streams())
    if (other->blocking() && other->device == stream->device) finish(other);
  return poisoned(stream->device);
}

API(cuStreamQuery, Handle handle) {
  ON_STREAM(handle);
  return stream->queue.empty() ? int(SUCCESS) : not_ready(stream);
}

#define STREAM_PROPERTY(name, T, value) \
  API(name, Handle handle, T *out) {    \
    ON_STREAM(handle);                  \
    *out = value;                       \
    return SUCCESS;                     \
  }
STREAM_PROPERTY(cuStreamGetFlags, unsigned, stream->flags)
STREAM_PROPERTY(cuStreamGetPriority, int, stream->priority)
STREAM_PROPERTY(cuStreamGetId, unsigned long long, stream->id)
STREAM_PROPERTY(cuStreamGetDevice, CUdevice, stream->device)
STREAM_PROPERTY(cuStreamGetCtx, Handle, context_of(stream->device))

API_SINCE(12050, cuStreamGetCtx, v2, Handle stream, Handle *context, Handle *green) {
  if (green) *green = nullptr;
  return cuStreamGetCtx_v0(stream, context);
}

API(cuStreamWaitEvent, Handle handle, Handle event_handle, unsigned) {
  ON_STREAM(handle);
  const Event *const event = events.find(event_handle);
  if (!event) return INVALID_HANDLE;
  const MarkPtr mark = event->mark;
  if (!mark) return SUCCESS;  // an event that was never recorded is complete
  if (mark->graph) return join_capture(stream, *mark);
  if (stream->capture)
    return refuse(STREAM_CAPTURE_UNSUPPORTED, "capture", "a captured stream cannot wait for work outside its capture");
  return enqueue(stream, [mark] { return reach(mark); });
}

API(cuLaunchHostFunc, Handle handle, HostFunction function, void *argument) {
  ON_STREAM(handle);
  return enqueue(stream, [=] {
    function(argument);
    return int(SUCCESS);
  });
}

API(cuEventCreate, Handle *out, unsigned flags) {
  IN_CONTEXT;
  *out = events.add(new Event{flags, nullptr});
  return SUCCESS;
}

API(cuEventDestroy, Handle handle) {
  Lock lock;
  return events.destroy(handle) ? SUCCESS : INVALID_HANDLE;
}

API(cuEventRecord, Handle handle, Handle stream_handle) {
  ON_STREAM(stream_handle);
  Event *const event = events.find(handle);
  if (!event) return INVALID_HANDLE;
  const MarkPtr mark = std::make_shared<Mark>();
  mark->stream = stream;
  mark->graph = stream->capture;
  mark->position = stream->pushed + 1;
  event->mark = mark;
  if (stream->capture) return SUCCESS;
  return enqueue(stream, [mark] {
    mark->reached = true;
    mark->time_ms = now_ms();
    return int(SUCCESS);
  });
}

API(cuEventRecordWithFlags, Handle event, Handle stream, unsigned) { return cuEventRecord_v0(event, stream); }

API(cuEventSynchronize, Handle handle) {
  IN_CONTEXT;
  const Event *const event = events.find(handle);
  if (!event) return INVALID_HANDLE;
  if (!event->mark) return SUCCESS;
  if (event->mark->graph) return refuse(STREAM_CAPTURE_UNSUPPORTED, "capture", "the event was recorded in a capture");
  return reach(event->mark);
}

API(cuEventQuery, Handle handle) {
  IN_CONTEXT;
  const Event *const event = events.find(handle);
  if (!event) return INVALID_HANDLE;
  return !event->mark || event->mark->reached ? int(SUCCESS) : not_ready(event->mark->stream);
}

API(cuEventElapsedTime, float *ms, Handle from, Handle to) {
  IN_CONTEXT;
  const Event *const a = events.find(from), *const b = events.find(to);
  if (!a || !b || !a->mark || !b->mark || !a->timed() || !b->timed()) return INVALID_HANDLE;
  if (!a->mark->reached || !b->mark->reached) return NOT_READY;
  *ms = static_cast<float>(b->mark->time_ms - a->mark->time_ms);
  return SUCCESS;
}
