// Barriers, shuffles, votes and warp reductions. Each lane hands in its part; the last to arrive computes for all.
#pragma once

static inline unsigned emu_lane() { return emu_context.thread & 31; }

static inline void __syncthreads(unsigned line = __builtin_LINE()) { emu_context.block_meets(line, nullptr, nullptr); }
static inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emu_context.warp_meets(mask, "__syncwarp", nullptr, nullptr);
}
// Threads change places only where they meet, so what one has written the next one sees.
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}
static inline void __nanosleep(unsigned) {}

struct EmuBallot {
  int in, out;
};

#define EMU_BLOCK_VOTE(name, initial, update)                                                  \
  static inline int name(int predicate, unsigned line = __builtin_LINE()) {                    \
    EmuBallot mine{predicate != 0, 0};                                                         \
    emu_context.block_meets(                                                                   \
        line,                                                                                  \
        [](void **all, unsigned threads) {                                                     \
          int result = initial;                                                                \
          for (unsigned i = 0; i < threads; i++)                                               \
            if (all[i]) result update static_cast<EmuBallot *>(all[i])->in;                    \
          for (unsigned i = 0; i < threads; i++)                                               \
            if (all[i]) static_cast<EmuBallot *>(all[i])->out = result;                        \
        },                                                                                     \
        &mine);                                                                                \
    return mine.out;                                                                           \
  }
EMU_BLOCK_VOTE(__syncthreads_or, 0, |=)
EMU_BLOCK_VOTE(__syncthreads_and, 1, &=)
EMU_BLOCK_VOTE(__syncthreads_count, 0, +=)

// ---- shuffles

template <class T>
struct EmuShuffle {
  T value;
  unsigned source;
  T result;
};

template <class T>
static inline T emu_shuffle(const char *operation, unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 2, 4 or 8 bytes");
  EmuShuffle<T> mine{value, source, value};
  emu_context.warp_meets(
      mask, operation,
      [](void **lanes, unsigned present) {
        for (unsigned lane = 0; lane < 32; lane++) {
          if (!(present >> lane & 1)) continue;
          auto *to = static_cast<EmuShuffle<T> *>(lanes[lane]);
          if (present >> to->source & 1)
            to->result = static_cast<EmuShuffle<T> *>(lanes[to->source])->value;
          else  // a device gives an undefined value for a lane that takes no part: here one that shows
            __builtin_memset(static_cast<void *>(&to->result), 0xff, sizeof(T));
        }
      },
      &mine);
  return mine.result;
}

static inline unsigned emu_segment(int width) { return emu_lane() & ~(unsigned(width) - 1); }

template <class T>
static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return emu_shuffle("__shfl_sync", mask, value, emu_segment(width) | (unsigned(source) & (unsigned(width) - 1)));
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = emu_lane(), inside = lane - emu_segment(width);
  return emu_shuffle("__shfl_up_sync", mask, value, delta <= inside ? lane - delta : lane);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = emu_lane(), inside = lane - emu_segment(width);
  return emu_shuffle("__shfl_down_sync", mask, value, delta < unsigned(width) - inside ? lane + delta : lane);
}
// A lane of another segment may be read if it is a lower one: so the hardware does.
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const unsigned lane = emu_lane(), source = lane ^ unsigned(lanes);
  return emu_shuffle("__shfl_xor_sync", mask, value, source < emu_segment(width) + unsigned(width) ? source : lane);
}

// ---- votes

struct EmuVote {
  unsigned in, out;
};

static inline unsigned emu_ballot(const char *operation, unsigned mask, bool predicate) {
  EmuVote mine{predicate, 0};
  emu_context.warp_meets(
      mask, operation,
      [](void **lanes, unsigned present) {
        unsigned result = 0;
        for (unsigned lane = 0; lane < 32; lane++)
          if (present >> lane & 1) result |= static_cast<EmuVote *>(lanes[lane])->in << lane;
        for (unsigned lane = 0; lane < 32; lane++)
          if (present >> lane & 1) static_cast<EmuVote *>(lanes[lane])->out = result;
      },
      &mine);
  return mine.out;
}

static inline unsigned __ballot_sync(unsigned mask, int vote) { return emu_ballot("__ballot_sync", mask, vote); }
static inline int __any_sync(unsigned mask, int vote) { return emu_ballot("__any_sync", mask, vote) != 0; }
static inline int __all_sync(unsigned mask, int vote) { return emu_ballot("__all_sync", mask, !vote) == 0; }
// The lanes that are here together on a device; here a thread runs alone between two meetings.
static inline unsigned __activemask() { return 1u << emu_lane(); }

template <class T>
static inline unsigned __match_any_sync(unsigned mask, T value) {
  struct Match {
    T value;
    unsigned equal;
  } mine{value, 0};
  emu_context.warp_meets(
      mask, "__match_any_sync",
      [](void **lanes, unsigned present) {
        for (unsigned a = 0; a < 32; a++)
          for (unsigned b = 0; b < 32 && present >> a & 1; b++)
            if (present >> b & 1 && static_cast<Match *>(lanes[a])->value == static_cast<Match *>(lanes[b])->value)
              static_cast<Match *>(lanes[a])->equal |= 1u << b;
      },
      &mine);
  return mine.equal;
}

// ---- reductions over the lanes of a mask

template <class T, class Operation>
static inline T emu_reduce(const char *name, unsigned mask, T value) {
  struct Part {
    T in, out;
  } mine{value, value};
  emu_context.warp_meets(
      mask, name,
      [](void **lanes, unsigned present) {
        unsigned first = __builtin_ctz(present);
        T result = static_cast<Part *>(lanes[first])->in;
        for (unsigned lane = first + 1; lane < 32; lane++)
          if (present >> lane & 1) result = Operation::apply(result, static_cast<Part *>(lanes[lane])->in);
        for (unsigned lane = 0; lane < 32; lane++)
          if (present >> lane & 1) static_cast<Part *>(lanes[lane])->out = result;
      },
      &mine);
  return mine.out;
}

#define EMU_OPERATION(name, expression)             \
  struct name {                                     \
    template <class T>                              \
    static T apply(T a, T b) {                      \
      return expression;                            \
    }                                               \
  };
EMU_OPERATION(EmuAdd, a + b)
EMU_OPERATION(EmuMin, a < b ? a : b)
EMU_OPERATION(EmuMax, a > b ? a : b)
EMU_OPERATION(EmuAnd, a &b)
EMU_OPERATION(EmuOr, a | b)
EMU_OPERATION(EmuXor, a ^ b)

#define EMU_REDUCE(name, T, Operation) \
  static inline T name(unsigned mask, T value) { return emu_reduce<T, Operation>(#name, mask, value); }
EMU_REDUCE(__reduce_add_sync, unsigned, EmuAdd)
EMU_REDUCE(__reduce_add_sync, int, EmuAdd)
EMU_REDUCE(__reduce_min_sync, unsigned, EmuMin)
EMU_REDUCE(__reduce_min_sync, int, EmuMin)
EMU_REDUCE(__reduce_max_sync, unsigned, EmuMax)
EMU_REDUCE(__reduce_max_sync, int, EmuMax)
EMU_REDUCE(__reduce_and_sync, unsigned, EmuAnd)
EMU_REDUCE(__reduce_or_sync, unsigned, EmuOr)
EMU_REDUCE(__reduce_xor_sync, unsigned, EmuXor)

// ---- ends

enum { EMU_ASSERT = 710, EMU_TRAP = 719 };
static inline void __trap(unsigned line = __builtin_LINE()) { emu_context.stop(EMU_TRAP, "__trap()", line); }
#define assert(condition) \
  (static_cast<bool>(condition) ? void(0) : emu_context.stop(EMU_ASSERT, "assert(" #condition ")", __LINE__))
