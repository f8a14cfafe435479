#include "faults.h"

#include <csetjmp>
#include <csignal>
#include <ctime>
#include <cstdlib>
#include <utility>

#include <sys/syscall.h>
#include <unistd.h>

namespace emu {

namespace {

Fault last;
Fault leaving;  // carried across the jump
void (*explain)(Fault &, int, uintptr_t) = nullptr;

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
constexpr int COUNT = sizeof SIGNALS / sizeof *SIGNALS;
volatile bool watching = false;  // the signal of a timer may come when it has just been stopped
const int WATCH_SIGNAL = SIGRTMAX - 2;
struct sigaction outer[COUNT];

// One thread at a time runs work, as it holds the driver's lock; a signal of another thread is not ours.
thread_local sigjmp_buf *escape = nullptr;

void on_signal(int signal, siginfo_t *info, void *) {
  if (!escape) {  // not in our work: give it back to whom it belongs; the instruction faults again on return
    for (int i = 0; i < COUNT; i++)
      if (SIGNALS[i] == signal) sigaction(signal, &outer[i], nullptr);
    return;
  }
  Fault fault;
  explain(fault, signal, reinterpret_cast<uintptr_t>(info->si_addr));
  abandon(std::move(fault));
}

void on_watch(int, siginfo_t *, void *) {
  if (!escape || !watching) return;
  Fault fault;
  explain(fault, SIGALRM, 0);
  abandon(std::move(fault));
}

void install() {
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &action, &outer[i]);
  action.sa_sigaction = on_watch;
  sigaction(WATCH_SIGNAL, &action, nullptr);
}

void uninstall() {
  for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &outer[i], nullptr);
}

// A fiber whose stack has overflown cannot run a handler on it.
struct SignalStack {
  static constexpr size_t SIZE = 64 << 10;
  void *memory = std::malloc(SIZE);
  ~SignalStack() { std::free(memory); }
};

}  // namespace

const Fault &last_fault() { return last; }
void set_fault(Fault fault) { last = std::move(fault); }
void clear_fault() { last = Fault(); }

int refuse(int code, std::string kind, std::string what, std::string work) {
  Fault fault;
  fault.code = code;
  fault.kind = std::move(kind);
  fault.what = std::move(what);
  fault.work = std::move(work);
  set_fault(std::move(fault));
  return code;
}

void abandon(Fault fault) {
  leaving = std::move(fault);
  siglongjmp(*escape, 1);
}

int guarded(const std::function<int()> &work) {
  static thread_local SignalStack signal_stack;
  sigjmp_buf here;
  sigjmp_buf *const previous = escape;
  stack_t stack = {}, old_stack = {};
  if (!previous) {
    stack.ss_sp = signal_stack.memory;
    stack.ss_size = SignalStack::SIZE;
    sigaltstack(&stack, &old_stack);
    install();
  }
  int code;
  if (sigsetjmp(here, 1) == 0) {
    escape = &here;
    code = work();
  } else {
    code = leaving.code;
    set_fault(std::move(leaving));
  }
  escape = previous;
  if (!previous) {
    uninstall();
    sigaltstack(&old_stack, nullptr);
  }
  return code;
}

void explain_signals(void (*function)(Fault &, int, uintptr_t)) { explain = function; }

void watch(unsigned milliseconds) {
  struct Timer {
    timer_t id{};
    bool made = false;
    ~Timer() {
      if (made) timer_delete(id);
    }
  };
  watching = milliseconds != 0;
  static thread_local Timer timer;  // the signal must reach the thread that runs the work
  if (!timer.made) {
    if (!milliseconds) return;
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = WATCH_SIGNAL;
#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
#else
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
#endif
    timer.made = timer_create(CLOCK_MONOTONIC, &event, &timer.id) == 0;
    if (!timer.made) return;
  }
  itimerspec when = {};
  when.it_value.tv_sec = milliseconds / 1000;
  when.it_value.tv_nsec = static_cast<long>(milliseconds % 1000) * 1000000;
  timer_settime(timer.id, 0, &when, nullptr);
}

}  // namespace emu
