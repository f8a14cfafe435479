#include "graphs.h"

#include "context.h"
#include "faults.h"
#include "handles.h"
#include "launch.h"
#include "state.h"

namespace emu {

namespace {

Handles<Graph> graphs, executables;
std::set<const Node *> nodes;  // of all graphs
unsigned long long captures = 0;

void release_object(UserObject *object, unsigned count) {
  object->references -= count;
  if (object->references) return;
  const UserObject dead = *object;
  delete object;
  when_unlocked([dead] { dead.destroy(dead.object); });
}

void hold_as(Graph *graph, const Graph &other) {
  graph->steps = other.steps;
  for (auto [object, count] : other.held) {
    object->references += count;
    graph->held[object] += count;
  }
}

void let_go(Graph *graph) {
  for (auto [object, count] : graph->held) release_object(object, count);
  graph->held.clear();
}

int destroy(Handles<Graph> &kind, Handle handle) {
  Lock lock;
  if (Graph *const graph = kind.find(handle)) {
    let_go(graph);
    for (const auto &node : graph->nodes) nodes.erase(node.get());
    for (Graph *const other : executables.all())
      if (other->source == graph) other->source = nullptr;
  }
  return kind.destroy(handle) ? SUCCESS : INVALID_VALUE;
}

// Streams that joined the capture of `origin` leave it with it.
bool leave_capture(const StreamPtr &origin) {
  const Graph *const graph = origin->capture;
  bool joined = true;
  for (const StreamPtr &stream : all_streams()) {
    if (stream->capture != graph) continue;
    joined &= stream->joined;
    stream->capture = nullptr;
    stream->origin = nullptr;
    stream->joined = true;
  }
  return joined;
}

// The step's position, or -1 where the node is of no graph, or of another one.
long position_of(Handle handle, const Graph *graph) {
  const auto found = nodes.find(static_cast<const Node *>(handle));
  if (found == nodes.end() || !graph || (*found)->graph != graph) return -1;
  return static_cast<long>((*found)->position);
}

int work_of_node(const KernelNodeParameters *p, Work &work) {
  if (!p || p->extra) return refuse(INVALID_VALUE, "graph", "a kernel node without parameters, or with packed ones");
  const Handle kernel = p->function ? p->function : p->kernel;
  return work_of_launch(kernel, {p->grid_x, p->grid_y, p->grid_z}, {p->block_x, p->block_y, p->block_z},
                        p->shared_bytes, p->values, work);
}

int run_steps(const std::vector<Step> &steps) {
  std::vector<bool> done(steps.size());
  for (size_t left = steps.size(); left; left--) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < steps.size() && (ready.empty() || settings.order != Order::forward); i++) {
      bool free = !done[i];
      for (const size_t before : steps[i].after) free = free && done[before];
      if (free) ready.push_back(i);
    }
    const size_t at = settings.order == Order::random ? random_number() % ready.size() : ready.size() - 1;
    done[ready[at]] = true;
    if (const int code = steps[ready[at]].work()) return code;
  }
  return SUCCESS;
}

}  // namespace

}  // namespace emu

using namespace emu;

API(cuStreamBeginCapture, Handle handle, int) {
  ON_STREAM(handle);
  if (stream->capture || stream->legacy) return STREAM_CAPTURE_UNSUPPORTED;
  stream->capture = graphs.add(new Graph);
  stream->capture_id = ++captures;
  stream->origin = stream.get();
  return SUCCESS;
}

API(cuStreamEndCapture, Handle handle, Handle *out) {
  ON_STREAM(handle);
  if (!stream->capture) return INVALID_VALUE;
  if (stream->origin != stream.get()) return STREAM_CAPTURE_UNMATCHED;
  Graph *const graph = stream->capture;
  *out = nullptr;
  if (!leave_capture(stream))
    return refuse(STREAM_CAPTURE_UNJOINED, "capture", "a forked stream's work was not waited for by the origin");
  *out = graph;
  return SUCCESS;
}

API(cuStreamIsCapturing, Handle handle, int *status) {
  ON_STREAM(handle);
  *status = stream->capture ? 1 : 0;
  return SUCCESS;
}

static CUresult capture_info(Handle handle, int *status, unsigned long long *id, Handle *graph, const Handle **nodes,
                             size_t *count) {
  ON_STREAM(handle);
  *status = stream->capture ? 1 : 0;
  if (id) *id = stream->capture_id;
  if (graph) *graph = stream->capture;
  if (nodes) *nodes = nullptr;
  if (count) *count = 0;
  return SUCCESS;
}

API_SINCE(11030, cuStreamGetCaptureInfo, v2, Handle stream, int *status, unsigned long long *id, Handle *graph,
          const Handle **nodes, size_t *count) {
  return capture_info(stream, status, id, graph, nodes, count);
}

API_SINCE(12030, cuStreamGetCaptureInfo, v3, Handle stream, int *status, unsigned long long *id, Handle *graph,
          const Handle **nodes, const void **edges, size_t *count) {
  if (edges) *edges = nullptr;
  return capture_info(stream, status, id, graph, nodes, count);
}

API(cuThreadExchangeStreamCaptureMode, int *) { return SUCCESS; }

API(cuGraphCreate, Handle *out, unsigned) {
  IN_CONTEXT;
  *out = graphs.add(new Graph);
  return SUCCESS;
}

API_SINCE(12000, cuGraphAddKernelNode, v2, Handle *out, Handle handle, const Handle *before, size_t count,
          const KernelNodeParameters *parameters) {
  IN_CONTEXT;
  Graph *const graph = graphs.find(handle);
  if (!graph || !out) return INVALID_VALUE;
  Step step{nullptr, {}, true};
  for (size_t i = 0; i < count; i++) {
    const long position = position_of(before[i], graph);
    if (position < 0) return refuse(INVALID_VALUE, "graph", "a node depends on a node of another graph, or of none");
    step.after.push_back(static_cast<size_t>(position));
  }
  if (const int code = work_of_node(parameters, step.work)) return code;
  graph->nodes.push_back(std::make_shared<Node>(Node{graph, graph->steps.size()}));
  graph->steps.push_back(std::move(step));
  nodes.insert(graph->nodes.back().get());
  *out = graph->nodes.back().get();
  return SUCCESS;
}

API_SINCE(12000, cuGraphExecKernelNodeSetParams, v2, Handle handle, Handle node,
          const KernelNodeParameters *parameters) {
  IN_CONTEXT;
  Graph *const executable = executables.find(handle);
  if (!executable) return refuse(INVALID_VALUE, "graph", "the executable graph does not exist (any more)");
  const long position = position_of(node, executable->source);
  if (position < 0)
    return refuse(INVALID_VALUE, "graph", "the node is not of the graph that was instantiated, or that is destroyed");
  return work_of_node(parameters, executable->steps[static_cast<size_t>(position)].work);
}

API(cuGraphDestroy, Handle graph) { return destroy(graphs, graph); }

static CUresult instantiate(Handle *out, Handle handle) {
  IN_CONTEXT;
  const Graph *const graph = graphs.find(handle);
  if (!graph) return INVALID_VALUE;
  Graph *const executable = executables.add(new Graph);
  hold_as(executable, *graph);
  executable->source = graph;
  *out = executable;
  return SUCCESS;
}

API(cuGraphInstantiateWithFlags, Handle *out, Handle graph, unsigned long long) { return instantiate(out, graph); }

API(cuGraphInstantiateWithParams, Handle *out, Handle graph, InstantiateParameters *parameters) {
  const CUresult code = instantiate(out, graph);
  if (parameters) parameters->error_node = nullptr, parameters->result = code ? 1 : 0;
  return code;
}

API(cuGraphExecDestroy, Handle graph) { return destroy(executables, graph); }

API_SINCE(12000, cuGraphExecUpdate, v2, Handle handle, Handle from, UpdateResult *result) {
  IN_CONTEXT;
  Graph *const executable = executables.find(handle);
  const Graph *const graph = graphs.find(from);
  if (!executable || !graph) return INVALID_VALUE;
  *result = {0, nullptr, nullptr};
  if (executable->steps.size() != graph->steps.size()) {
    result->result = 2;  // the topology has changed
    return GRAPH_EXEC_UPDATE_FAILURE;
  }
  let_go(executable);
  hold_as(executable, *graph);
  return SUCCESS;
}

API(cuGraphUpload, Handle graph, Handle) {
  IN_CONTEXT;
  return executables.find(graph) ? SUCCESS : INVALID_VALUE;
}

API(cuGraphLaunch, Handle handle, Handle stream_handle) {
  ON_STREAM(stream_handle);
  const Graph *const graph = executables.find(handle);
  if (!graph) return INVALID_VALUE;
  const std::vector<Step> steps = graph->steps;  // a later update or destruction does not reach this launch
  return enqueue(stream, [steps] { return run_steps(steps); });
}

API(cuUserObjectCreate, Handle *out, void *object, HostFunction destroy, unsigned references, unsigned) {
  Lock lock;
  *out = new UserObject{object, destroy, references};
  return SUCCESS;
}

API(cuUserObjectRetain, Handle object, unsigned count) {
  Lock lock;
  static_cast<UserObject *>(object)->references += count;
  return SUCCESS;
}

API(cuUserObjectRelease, Handle object, unsigned count) {
  Lock lock;
  release_object(static_cast<UserObject *>(object), count);
  return SUCCESS;
}

API(cuGraphRetainUserObject, Handle handle, Handle object, unsigned count, unsigned flags) {
  Lock lock;
  Graph *const graph = graphs.find(handle);
  if (!graph) return INVALID_VALUE;
  const bool moved = flags & 1;  // the caller's references become the graph's
  if (!moved) static_cast<UserObject *>(object)->references += count;
  graph->held[static_cast<UserObject *>(object)] += count;
  return SUCCESS;
}

API(cuGraphReleaseUserObject, Handle handle, Handle object, unsigned count) {
  Lock lock;
  Graph *const graph = graphs.find(handle);
  UserObject *const held = static_cast<UserObject *>(object);
  if (!graph || graph->held[held] < count) return INVALID_VALUE;
  graph->held[held] -= count;
  if (!graph->held[held]) graph->held.erase(held);
  release_object(held, count);
  return SUCCESS;
}
