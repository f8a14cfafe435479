// One reserved range of addresses for all guarded memory. Allocations lie far apart in it, so that an index that is
// wrong by millions still meets no memory: neither another allocation nor the interpreter's own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emu {

char *arena_take(size_t bytes);                 // readable and writable pages, zero; null: no room
void arena_retire(char *start, size_t bytes);   // unreadable, its content forgotten, its addresses still taken
void arena_recycle(char *start);                // its addresses may be given again
bool in_arena(uintptr_t address);

}  // namespace emu
