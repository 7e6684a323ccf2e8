// Lets one thread that looks at many databases in turn read the system's lock table once for
// several of them: the system makes the table anew for each read, which takes a millisecond where
// the process holds thousands of locks.
//
// The rule that is easy to break: what is read within may be 100 ms old, so only looks of the
// process's own use it, never a call of the user's or a checkpoint.
// Thread rules: one thread at a time has one; a second thread has none of its effect.
#pragma once

namespace walmanager {

class LockTableReuse {
 public:
  LockTableReuse();
  ~LockTableReuse();
  LockTableReuse(const LockTableReuse&) = delete;
  LockTableReuse& operator=(const LockTableReuse&) = delete;

 private:
  bool has_it_ = false;
};

}  // namespace walmanager
