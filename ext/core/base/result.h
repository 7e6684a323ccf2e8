// Errors by value: every operation that can fail returns a Status or a Result<T>. Nothing in this
// project throws on purpose; std::bad_alloc alone travels, up to the guard at the C edge.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace walmanager {

// The result code of a failed call. The numbers are SQLite's primary result codes
// (https://www.sqlite.org/rescode.html), written out because core does not know sqlite3.h.
enum class ErrorCode : int {
  kError = 1,
  kNotPermitted = 3,
  kBusy = 5,
  kLocked = 6,
  kNoMemory = 7,
  kInterrupt = 9,
  kInputOutput = 10,
  kCorrupt = 11,
  kNotADatabase = 26
};

// An error: a code for the program and a message for the person. A message names the object, the
// value given and what is allowed.
struct Error {
  std::string message;
  ErrorCode code = ErrorCode::kError;
};

struct Ok {};

// A value or an Error. Thread rules: those of the value.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: a value is a result
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: so is an error
  bool ok() const { return state_.index() == 0; }
  const T& value() const { return *std::get_if<0>(&state_); }
  T& value() { return *std::get_if<0>(&state_); }
  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<Ok>;

}  // namespace walmanager
