#include "ext/system/own_thread.h"

#include <signal.h>

namespace walmanager {

bool OwnThread::Start(const char* name, void (*body)(void*), void* argument) noexcept {
  name_ = name;
  body_ = body;
  argument_ = argument;
  // The new thread takes over the mask of the thread that makes it.
  sigset_t all, before;
  sigfillset(&all);
  if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
  running_ = pthread_create(&thread_, nullptr, Run, this) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return running_;
}

void* OwnThread::Run(void* self) noexcept {
  const auto* thread = static_cast<const OwnThread*>(self);
  pthread_setname_np(pthread_self(), thread->name_);
  thread->body_(thread->argument_);
  return nullptr;
}

void OwnThread::Join() noexcept {
  if (running_) pthread_join(thread_, nullptr);
  running_ = false;
}

}  // namespace walmanager
