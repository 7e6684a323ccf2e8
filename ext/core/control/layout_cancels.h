// Requests to interrupt the statement of a connection, from one process to another
// (cancel_requests.h).
#pragma once

#include <array>

#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

inline constexpr std::size_t kCancelRequests = 8;  // at once

struct CancelRequest {
  Counter state;        // a random number of the request << 2 | CancelStage; 0: free
  Counter owner;        // ConnectionSlab::owner of the process that is asked
  Counter connection;   // ConnectionInfo::id
  Counter started_ns;   // ConnectionInfo::started_ns of the statement that is meant
  Counter deadline_ns;  // CLOCK_MONOTONIC: by then its caller has given up
  Counter by_pid;       // of the caller,
  Counter by;           // and its connection
  Counter answer;       // CancelAnswer
};

struct CancelRequests {
  alignas(64) Counter asked;  // counts up with each request
  alignas(64) std::array<CancelRequest, kCancelRequests> requests;
};

}  // namespace walmanager::layout
