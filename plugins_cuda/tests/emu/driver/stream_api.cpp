// Entry points of streams and events.
#include <ctime>
#include <set>

#include "context.h"
#include "faults.h"
#include "graphs.h"
#include "state.h"
#include "streams.h"

namespace {

using namespace emu;

struct Event {
  unsigned flags = 0;
  MarkPtr mark;  // of the last record; null before the first
  bool timed() const { return !(flags & 2); }
};

std::set<Event *> events;

Event *event_of(Handle handle) {
  Event *const event = static_cast<Event *>(handle);
  return events.count(event) ? event : nullptr;
}

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
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (const int code = capture_error(stream)) return code;
  if (!stream->legacy) return finish(stream);
  for (const StreamPtr &other : all_streams())
    if (other->blocking() && other->device == stream->device) finish(other);
  return poisoned(stream->device);
}

API(cuStreamQuery, Handle handle) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  return stream->queue.empty() ? int(SUCCESS) : not_ready(stream);
}

API(cuStreamGetFlags, Handle handle, unsigned *flags) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  *flags = stream->flags;
  return SUCCESS;
}

API(cuStreamGetPriority, Handle handle, int *priority) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  *priority = stream->priority;
  return SUCCESS;
}

API(cuStreamGetId, Handle handle, unsigned long long *id) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  *id = stream->id;
  return SUCCESS;
}

API(cuStreamGetDevice, Handle handle, CUdevice *device) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  *device = stream->device;
  return SUCCESS;
}

static CUresult context_of_stream(Handle handle, Handle *context) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  *context = context_of(stream->device);
  return SUCCESS;
}

API(cuStreamGetCtx, Handle stream, Handle *context) { return context_of_stream(stream, context); }

API_SINCE(12050, cuStreamGetCtx, v2, Handle stream, Handle *context, Handle *green) {
  if (green) *green = nullptr;
  return context_of_stream(stream, context);
}

API(cuStreamWaitEvent, Handle handle, Handle event_handle, unsigned) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  const Event *const event = event_of(event_handle);
  if (!stream || !event) return INVALID_HANDLE;
  const MarkPtr mark = event->mark;
  if (!mark) return SUCCESS;  // an event that was never recorded is complete
  if (mark->graph) return join_capture(stream, *mark);
  if (stream->capture)
    return refuse(STREAM_CAPTURE_UNSUPPORTED, "capture", "a captured stream cannot wait for work outside its capture");
  return enqueue(stream, [mark] { return reach(mark); });
}

API(cuLaunchHostFunc, Handle handle, HostFunction function, void *argument) {
  IN_CONTEXT;
  const StreamPtr stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  return enqueue(stream, [=] {
    function(argument);
    return int(SUCCESS);
  });
}

API(cuEventCreate, Handle *out, unsigned flags) {
  IN_CONTEXT;
  Event *const event = new Event{flags, nullptr};
  events.insert(event);
  *out = event;
  return SUCCESS;
}

API(cuEventDestroy, Handle handle) {
  Lock lock;
  Event *const event = event_of(handle);
  if (!event) return INVALID_HANDLE;
  events.erase(event);
  delete event;
  return SUCCESS;
}

API(cuEventRecord, Handle handle, Handle stream_handle) {
  IN_CONTEXT;
  Event *const event = event_of(handle);
  const StreamPtr stream = stream_of(stream_handle);
  if (!event || !stream) return INVALID_HANDLE;
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
  const Event *const event = event_of(handle);
  if (!event) return INVALID_HANDLE;
  if (!event->mark) return SUCCESS;
  if (event->mark->graph) return refuse(STREAM_CAPTURE_UNSUPPORTED, "capture", "the event was recorded in a capture");
  return reach(event->mark);
}

API(cuEventQuery, Handle handle) {
  IN_CONTEXT;
  const Event *const event = event_of(handle);
  if (!event) return INVALID_HANDLE;
  return !event->mark || event->mark->reached ? int(SUCCESS) : not_ready(event->mark->stream);
}

API(cuEventElapsedTime, float *ms, Handle from, Handle to) {
  IN_CONTEXT;
  const Event *const a = event_of(from), *const b = event_of(to);
  if (!a || !b || !a->mark || !b->mark || !a->timed() || !b->timed()) return INVALID_HANDLE;
  if (!a->mark->reached || !b->mark->reached) return NOT_READY;
  *ms = static_cast<float>(b->mark->time_ms - a->mark->time_ms);
  return SUCCESS;
}
