// Graphs: work in nodes, each behind those that it depends on. Launches take them in the order of the setting: as they
// were added, or in another that the dependencies allow. What is captured depends on what was captured before it.
#pragma once

#include <map>
#include <vector>

#include "streams.h"

namespace emu {

struct UserObject {
  void *object;
  HostFunction destroy;
  unsigned references;
};

struct Graph;

// A handle of a node is the address of one of these. They belong to the graph, not to what is instantiated from it.
struct Node {
  Graph *graph;
  size_t position;
};

struct Step {
  Work work;
  std::vector<size_t> after;  // positions
  bool kernel = false;
};

struct Graph {
  std::vector<Step> steps;
  std::vector<std::shared_ptr<Node>> nodes;
  const Graph *source = nullptr;  // of an executable graph
  void capture(Work work) {
    std::vector<size_t> after;
    if (!steps.empty()) after.push_back(steps.size() - 1);
    steps.push_back({std::move(work), after, false});
  }
  std::map<UserObject *, unsigned> held;
};

}  // namespace emu
