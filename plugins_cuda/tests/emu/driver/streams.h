// Streams: queues of work. Eagerly, work runs as it is queued; deferred, only when something waits for it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "context.h"
#include "cuda_types.h"

namespace emu {

using Work = std::function<int()>;  // answers a code; anything but success poisons the context

struct Graph;
struct Stream;
using StreamPtr = std::shared_ptr<Stream>;

// A point in a stream's work, or in the capture of one.
struct Mark {
  StreamPtr stream;
  unsigned long long position = 0;
  Graph *graph = nullptr;
  bool reached = false;
  double time_ms = 0;
};
using MarkPtr = std::shared_ptr<Mark>;

struct Item {
  unsigned long long sequence;
  Work work;
};

struct Stream {
  int device = 0;
  unsigned flags = 0;
  int priority = 0;
  unsigned long long id = 0, pushed = 0, ran = 0;
  bool legacy = false, destroyed = false;
  std::deque<Item> queue;
  Graph *capture = nullptr;
  unsigned long long capture_id = 0;
  Stream *origin = nullptr;  // of the capture
  bool joined = true;        // a forked stream's captured work has been waited for
  bool blocking() const { return !(flags & 1); }
};

StreamPtr make_stream(int device, unsigned flags, int priority);
StreamPtr stream_of(Handle handle);  // null: there is no such stream
void destroy_stream(const StreamPtr &stream);
std::vector<StreamPtr> all_streams();  // in the order in which they take turns

int enqueue(const StreamPtr &stream, Work work);
int finish(const StreamPtr &stream, unsigned long long position = ~0ull);  // runs its work up to there
int finish_all();
void drop_work();  // all that is queued: after a fault
size_t pending_work();

int &poisoned(int device);  // the code of the fault that broke the device's context, or success
int capture_error(const StreamPtr &stream);

}  // namespace emu

// Opens an entry point that works in a context, on the stream with that handle: defines `stream`.
#define ON_STREAM(handle)                               \
  IN_CONTEXT;                                           \
  const emu::StreamPtr stream = emu::stream_of(handle); \
  if (!stream) return INVALID_HANDLE
