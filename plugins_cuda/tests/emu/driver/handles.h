// Objects that callers hold by handles: a handle is the address of an object that has been made and not destroyed.
#pragma once

#include <set>

#include "cuda_types.h"

namespace emu {

template <class T>
class Handles {
 public:
  T *add(T *object) {
    objects.insert(object);
    return object;
  }
  T *find(Handle handle) const {  // null: there is no such object
    T *const object = static_cast<T *>(handle);
    return objects.count(object) ? object : nullptr;
  }
  const std::set<T *> &all() const { return objects; }
  bool destroy(Handle handle) {
    T *const object = find(handle);
    const bool found = objects.erase(object);
    delete object;
    return found;
  }

 private:
  std::set<T *> objects;
};

}  // namespace emu
