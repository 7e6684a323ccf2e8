#include "ext/system/scheduler.h"

#include <algorithm>
#include <chrono>

#include "ext/system/clock.h"

namespace walmanager {

Scheduler::Scheduler(const Limits& limits) : idle_ns_(limits.idle_ns) {
  looking_.most = limits.looking_threads;
  copying_.most = limits.copying_threads;
  int given = 0;
  for (Thread& thread : threads_) {
    thread.scheduler = this;
    thread.pool = given++ < limits.looking_threads ? &looking_ : &copying_;
  }
}

Scheduler::~Scheduler() {
  const MutexLock lock(mutex_);
  EndThreads();
}

int Scheduler::CountThreads(Kind kind) {
  const MutexLock lock(mutex_);
  return (kind == Kind::kLooks ? looking_ : copying_).alive;
}

void Scheduler::EndIdleThreads() {
  // The thread that forks waits for no other.
  if (!mutex_.try_lock()) return;
  const MutexLock lock(mutex_, std::adopt_lock);
  for (const Pool* pool : {&looking_, &copying_}) {
    if (pool->busy != 0 || !pool->queue.empty()) return;
  }
  EndThreads();
}

bool Scheduler::Enqueue(Task& task, std::uint64_t due_ns) {
  while (ending_) threads_ended_.Wait(mutex_);
  if (task.stopped_) return false;
  if (!std::exchange(task.counted_, true)) ++tasks_;
  if (task.thread_) {
    task.again_ns_ = std::min(task.again_ns_, due_ns);
    return true;
  }
  if (task.queued_) {
    if (task.place_->first <= due_ns) return true;
    Remove(task);
  }
  const bool is_later = due_ns > MonotonicNs();
  Insert(task, task.hurried_ && !is_later ? 0 : due_ns);
  // A thread that waits for a later task is to know of this one.
  const bool is_first = task.pool_.queue.begin() == task.place_;
  if (is_later && task.pool_.alive > 0 && (!is_first || LooksBy(task.pool_, due_ns))) return true;
  if (Attend(task.pool_, is_later)) return true;
  Remove(task);
  return false;
}

void Scheduler::Insert(Task& task, std::uint64_t due_ns) {
  task.node_.value().first = due_ns;
  task.place_ = task.pool_.queue.insert(std::move(task.node_)).position;
  task.queued_ = true;
}

void Scheduler::Remove(Task& task) {
  task.node_ = task.pool_.queue.extract(task.place_);
  task.queued_ = false;
}

bool Scheduler::LooksBy(const Pool& pool, std::uint64_t due_ns) {
  return std::any_of(threads_.begin(), threads_.end(), [&](const Thread& thread) {
    return thread.pool == &pool && thread.waits_until_ns <= due_ns;
  });
}

bool Scheduler::Attend(Pool& pool, bool all) {
  if (pool.waiting > 0) {
    all ? pool.changed.notify_all() : pool.changed.notify_one();
    return true;
  }
  if (pool.alive > pool.busy) return true;  // one has just begun, or ended its work
  return (pool.alive < pool.most && StartThread(pool)) || pool.alive > 0;
}

bool Scheduler::StartThread(Pool& pool) {
  for (Thread& thread : threads_) {
    if (thread.pool != &pool || thread.alive) continue;
    thread.own.Join();  // it has ended, or is about to
    const auto run = [](void* self) {
      Thread& started = *static_cast<Thread*>(self);
      started.scheduler->Run(started);
    };
    thread.alive = thread.own.Start("walmanager", run, &thread);
    if (thread.alive) ++pool.alive;
    return thread.alive;
  }
  return false;
}

void Scheduler::Uncount(Task& task) {
  if (!std::exchange(task.counted_, false) || --tasks_ != 0) return;
  for (Pool* pool : {&looking_, &copying_}) pool->changed.notify_all();
}

void Scheduler::Run(Thread& self) {
  self.priority.Begin();
  Pool& pool = *self.pool;
  const MutexLock lock(mutex_);
  std::uint64_t idle_since_ns = MonotonicNs();
  while (!ending_) {
    const std::uint64_t now = MonotonicNs();
    if (!pool.queue.empty() && pool.queue.begin()->first <= now) {
      RunTask(self, *pool.queue.begin()->second);
      idle_since_ns = MonotonicNs();
    } else if (!Wait(self, now, idle_since_ns)) {
      break;
    }
  }
  self.priority.End();
  self.alive = false;
  --pool.alive;
}

bool Scheduler::Wait(Thread& self, std::uint64_t now_ns, std::uint64_t idle_since_ns) {
  if (tasks_ == 0) return false;
  Pool& pool = *self.pool;
  constexpr std::uint64_t kLongestWaitNs = 3'600'000'000'000;  // so that each time can be expressed
  const bool is_needed = !pool.queue.empty() && pool.waiting == 0;  // to keep the time
  const std::uint64_t ends_ns = idle_since_ns + idle_ns_;
  if (!is_needed && now_ns >= ends_ns) {
    // This thread may be the only one that knew of the first task in the queue.
    if (!pool.queue.empty()) pool.changed.notify_one();
    return false;
  }
  const std::uint64_t due_ns = pool.queue.empty() ? kNever : pool.queue.begin()->first;
  const std::uint64_t until_ns =
      std::min(is_needed ? due_ns : std::min(due_ns, ends_ns), now_ns + kLongestWaitNs);
  self.waits_until_ns = until_ns;
  ++pool.waiting;
  (void)pool.changed.WaitUntil(
      mutex_, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(until_ns)));
  --pool.waiting;
  self.waits_until_ns = kNever;
  return true;
}

void Scheduler::RunTask(Thread& self, Task& task) {
  Remove(task);
  task.thread_ = &self;
  task.again_ns_ = kNever;
  ++self.pool->busy;
  if (!self.pool->queue.empty()) (void)Attend(*self.pool, /*all=*/false);
  self.priority.Set(/*low=*/!task.hurried_);
  mutex_.unlock();
  const std::uint64_t next_ns = task.work_();
  task.hurried_ = false;
  mutex_.lock();
  --self.pool->busy;
  task.thread_ = nullptr;
  if (task.stopped_) {
    // The priority stays: the thread that stops the task waits for the mutex.
    task_ended_.notify_all();
    return;
  }
  self.priority.Set(/*low=*/true);
  const std::uint64_t due_ns = std::min(next_ns, task.again_ns_);
  if (due_ns < kDone) {
    Insert(task, due_ns);
  } else if (due_ns == kDone) {
    Uncount(task);
  }
}

void Scheduler::EndThreads() {
  if (ending_) return;
  ending_ = true;
  for (Pool* pool : {&looking_, &copying_}) pool->changed.notify_all();
  for (Thread& thread : threads_) thread.priority.Set(/*low=*/false);  // this one waits for them
  mutex_.unlock();
  for (Thread& thread : threads_) thread.own.Join();
  mutex_.lock();
  ending_ = false;
  threads_ended_.notify_all();
}

// --- a task

Scheduler::Task::Task(Scheduler& scheduler, Kind kind, std::function<std::uint64_t()> work)
    : scheduler_(scheduler),
      pool_(kind == Kind::kLooks ? scheduler.looking_ : scheduler.copying_),
      work_(std::move(work)) {
  Queue one;
  one.emplace(0, this);
  node_ = one.extract(one.begin());
}

bool Scheduler::Task::Wake() { return WakeAt(MonotonicNs()); }

bool Scheduler::Task::WakeAt(std::uint64_t due_ns) {
  const MutexLock lock(scheduler_.mutex_);
  return scheduler_.Enqueue(*this, due_ns);
}

void Scheduler::Task::Hurry() {
  if (hurried_.load(std::memory_order_relaxed) || hurried_.exchange(true)) return;
  const MutexLock lock(scheduler_.mutex_);
  if (thread_) {
    thread_->priority.Set(/*low=*/false);
  } else if (queued_ && place_->first <= MonotonicNs()) {
    scheduler_.Remove(*this);
    scheduler_.Insert(*this, 0);
  }
}

void Scheduler::Task::Cancel() {
  const MutexLock lock(scheduler_.mutex_);
  if (queued_) scheduler_.Remove(*this);
  if (!thread_) scheduler_.Uncount(*this);
}

void Scheduler::Task::Stop() {
  const MutexLock lock(scheduler_.mutex_);
  stopped_ = true;
  if (!counted_) return;
  if (queued_) scheduler_.Remove(*this);
  if (thread_) thread_->priority.Set(/*low=*/false);
  while (thread_) scheduler_.task_ended_.Wait(scheduler_.mutex_);
  counted_ = false;
  if (--scheduler_.tasks_ == 0) scheduler_.EndThreads();
}

}  // namespace walmanager
