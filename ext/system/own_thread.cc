#include "ext/system/own_thread.h"

#include <errno.h>
#include <signal.h>

namespace walmanager {
namespace {

// As pthread_create(), with a stack of `bytes`. Where the system does not give that (thread-local
// storage of the program may need more), with the stack that it gives.
int CreateThread(pthread_t* thread, std::size_t bytes, void* (*run)(void*), void* argument) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return pthread_create(thread, nullptr, run, argument);
  int error = pthread_attr_setstacksize(&attributes, bytes);
  if (error == 0) error = pthread_create(thread, &attributes, run, argument);
  pthread_attr_destroy(&attributes);
  return error == EINVAL ? pthread_create(thread, nullptr, run, argument) : error;
}

}  // namespace

bool OwnThread::Start(const char* name, void (*body)(void*), void* argument) noexcept {
  name_ = name;
  body_ = body;
  argument_ = argument;
  // The new thread takes over the mask of the thread that makes it.
  sigset_t all, before;
  sigfillset(&all);
  if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
  running_ = CreateThread(&thread_, kStackBytes, Run, this) == 0;
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
