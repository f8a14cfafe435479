// Graphs: captured work, in the order it was submitted (which is one of the orders a device may take).
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

struct Graph {
  std::vector<Work> work;
  std::map<UserObject *, unsigned> held;
};

}  // namespace emu
