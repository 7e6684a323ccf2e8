// The machine as a run is to find it: with fewer processors, or with some of them kept busy.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace walmanager::bench {

class Condition {
 public:
  // This process and its children get the first `cpus` of the processors that it may use; 0: all
  // of them. On each of the last `busy` of those a process counts for ever, until this ends. Throws
  // a Failure where there are not that many.
  Condition(int cpus, int busy);
  ~Condition();
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // For the description of the machine: "processors: 1 of 2, 1 of them kept busy".
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<int> usable_;  // before
  std::vector<pid_t> busy_;
};

}  // namespace walmanager::bench
