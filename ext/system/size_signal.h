// Keeps SIGXFSZ from the host while this extension writes in the host's thread: beyond
// RLIMIT_FSIZE a write then fails with EFBIG, and the signal, whose default is to end the process,
// is taken back (https://man7.org/linux/man-pages/man2/getrlimit.2.html, RLIMIT_FSIZE).
//
// Thread rules: made and destroyed in the thread that writes. Threads of this extension need none:
// all signals are blocked there.
#pragma once

#include <signal.h>

namespace walmanager {

class NoSizeSignal {
 public:
  NoSizeSignal() noexcept;
  ~NoSizeSignal();  // errno stays as it is
  NoSizeSignal(const NoSizeSignal&) = delete;
  NoSizeSignal& operator=(const NoSizeSignal&) = delete;

 private:
  sigset_t before_;
  bool active_ = false;  // false where the signal was pending before, and so is the host's
};

}  // namespace walmanager
