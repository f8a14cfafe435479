#include "streams.h"

#include <algorithm>
#include <utility>

#include "context.h"
#include "faults.h"
#include "graphs.h"
#include "scheduler.h"
#include "state.h"

namespace emu {

namespace {

std::map<Handle, StreamPtr> streams;
unsigned long long sequences = 0, ids = 0;
int poison[limit::devices];

StreamPtr legacy_stream(int device) {
  static StreamPtr made[limit::devices];
  if (!made[device]) {
    made[device] = make_stream(device, 0, 0);
    made[device]->legacy = true;
  }
  return made[device];
}

int run_one(const StreamPtr &stream);

// What the default stream promises to blocking streams: neither overtakes the other.
void keep_default_order(const StreamPtr &stream, unsigned long long sequence) {
  if (!stream->blocking()) return;
  for (const StreamPtr &other : all_streams()) {
    const bool ordered = other != stream && other->device == stream->device && other->blocking();
    if (!ordered || stream->legacy == other->legacy) continue;
    while (!other->queue.empty() && other->queue.front().sequence < sequence) run_one(other);
  }
}

int run_one(const StreamPtr &stream) {
  Item item = std::move(stream->queue.front());
  stream->queue.pop_front();
  stream->ran++;
  keep_default_order(stream, item.sequence);
  int &broken = poisoned(stream->device);
  if (broken) return broken;
  const int code = guarded(item.work);
  after_fault();
  if (code && !broken) broken = code;
  return broken;
}

}  // namespace

std::vector<StreamPtr> all_streams() {
  std::vector<StreamPtr> list;
  for (auto &[handle, stream] : streams) list.push_back(stream);
  std::sort(list.begin(), list.end(), [](auto &a, auto &b) { return a->id < b->id; });
  if (settings.order == Order::reverse) std::reverse(list.begin(), list.end());
  if (settings.order == Order::random)
    for (size_t i = list.size(); i > 1; i--) std::swap(list[i - 1], list[random_number() % i]);
  return list;
}

int &poisoned(int device) { return poison[device]; }

StreamPtr make_stream(int device, unsigned flags, int priority) {
  StreamPtr stream = std::make_shared<Stream>();
  stream->device = device;
  stream->flags = flags;
  stream->priority = priority;
  stream->id = ++ids;
  streams[stream.get()] = stream;
  return stream;
}

StreamPtr stream_of(Handle handle) {
  if (!handle || handle == stream_handle::legacy || handle == stream_handle::per_thread)
    return legacy_stream(current_device());
  const auto found = streams.find(handle);
  return found == streams.end() || found->second->destroyed ? nullptr : found->second;
}

void destroy_stream(const StreamPtr &stream) {  // its work is still done, when something waits for it
  stream->destroyed = true;
  if (stream->queue.empty()) streams.erase(stream.get());
}

int enqueue(const StreamPtr &stream, Work work) {
  if (int broken = poisoned(stream->device)) return broken;
  if (stream->capture) {
    stream->joined = stream->origin == stream.get();
    stream->capture->capture(std::move(work));
    return SUCCESS;
  }
  stream->queue.push_back({++sequences, std::move(work)});
  stream->pushed++;
  return settings.deferred ? SUCCESS : finish(stream);
}

int finish(const StreamPtr &stream, unsigned long long position) {
  while (!stream->queue.empty() && stream->ran < position) run_one(stream);
  if (stream->destroyed && stream->queue.empty()) streams.erase(stream.get());
  return poisoned(stream->device);
}

int finish_all() {
  // One item of each stream in turn: streams that nothing orders are interleaved.
  for (bool any = true; any;) {
    any = false;
    for (const StreamPtr &stream : all_streams()) {
      if (stream->queue.empty()) continue;
      finish(stream, stream->ran + 1);
      any = true;
    }
  }
  return poisoned(current_device());
}

void drop_work() {
  for (const StreamPtr &stream : all_streams()) {
    stream->ran += stream->queue.size();
    stream->queue.clear();
    stream->capture = nullptr;
    if (stream->destroyed) streams.erase(stream.get());
  }
}

size_t pending_work() {
  size_t sum = 0;
  for (auto &[handle, stream] : streams) sum += stream->queue.size();
  return sum;
}

int capture_error(const StreamPtr &stream) {
  if (!stream->capture) return SUCCESS;
  return refuse(STREAM_CAPTURE_UNSUPPORTED, "capture", "this call is not permitted while the stream is being captured");
}

}  // namespace emu
