// Whether this thread may make system calls that a sandbox may forbid.
//
// A seccomp filter (systemd's SystemCallFilter=, for example) ends the process at a call that it
// does not allow, and a process cannot ask what it allows. So every call outside systemd's
// @system-service minus @resources and @privileged
// (https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html) is made only where no
// filter is on, as a look just before says: a host may put one on at any time, also for one of its
// threads alone.
#pragma once

namespace walmanager {

// Whether a filter is on for the calling thread. True also where the system does not say. Takes
// some microseconds.
bool SystemCallsAreFiltered() noexcept;

}  // namespace walmanager
