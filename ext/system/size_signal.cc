#include "ext/system/size_signal.h"

#include <pthread.h>

#include <cerrno>
#include <ctime>

namespace walmanager {
namespace {

sigset_t OnlySizeSignal() {
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGXFSZ);
  return only;
}

}  // namespace

NoSizeSignal::NoSizeSignal() noexcept {
  sigset_t pending;
  // A signal that is pending already is blocked, and the host's to take.
  if (sigpending(&pending) != 0 || sigismember(&pending, SIGXFSZ) != 0) return;
  const sigset_t only = OnlySizeSignal();
  active_ = pthread_sigmask(SIG_BLOCK, &only, &before_) == 0;
}

NoSizeSignal::~NoSizeSignal() {
  if (!active_) return;
  const int error = errno;
  const sigset_t only = OnlySizeSignal();
  const struct timespec now {};
  while (sigtimedwait(&only, nullptr, &now) < 0 && errno == EINTR) {
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = error;
}

}  // namespace walmanager
