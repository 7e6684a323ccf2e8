#include "tests/bench/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

#include "tests/bench/sqlite_db.h"

namespace walmanager::bench {
namespace {

[[noreturn]] void RunAndExit(const std::function<void()>& work, int error_channel) {
  // Leaves by _exit whatever happens: the scratch files are the parent's to remove.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    work();
  } catch (const std::exception& failure) {
    const std::string message = failure.what();
    [[maybe_unused]] const ssize_t sent = write(error_channel, message.data(), message.size());
    _exit(1);
  }
  _exit(0);
}

struct Question {
  int what;
  std::size_t argument;
};
// Begins an answer. No text begins with its bytes, which are no UTF-8.
constexpr double kAnswered = -1;

// The number behind `name` in a file of lines `name number`.
std::uint64_t Number(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::uint64_t number = 0;
    if (word == name && file >> number) return number;
  }
  Fail(std::string(path) + ": no line " + name);
}

}  // namespace

SharedMemory::SharedMemory(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, 1)) {
  data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
               -1, 0);
  if (data_ == MAP_FAILED) Fail("mmap: no more memory");
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}

SharedMemory::~SharedMemory() {
  if (data_) munmap(data_, bytes_);
}

namespace {

// A child process that does its work and ends.
struct Child {
  pid_t process;
  int error_channel;
};

Child Start(const std::function<void()>& work) {
  int channel[2];
  if (pipe2(channel, O_CLOEXEC) != 0) Fail("pipe: no more descriptors");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) Fail("fork: no more processes");
  if (child == 0) RunAndExit(work, channel[1]);
  close(channel[1]);
  return {child, channel[0]};
}

// Why it failed; empty where it did not.
std::string Await(const Child& child) {
  std::string message;
  char bytes[512];
  for (ssize_t got; (got = read(child.error_channel, bytes, sizeof bytes)) > 0;) {
    message.append(bytes, static_cast<std::size_t>(got));
  }
  close(child.error_channel);
  int status = 0;
  while (waitpid(child.process, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    return "a measuring process was killed by signal " + std::to_string(WTERMSIG(status));
  }
  return status == 0 ? "" : message.empty() ? "a measuring process failed" : message;
}

}  // namespace

void RunInProcess(const std::function<void()>& work) {
  RunInProcesses(1, [&](std::size_t) { work(); });
}

void RunInProcesses(std::size_t count, const std::function<void(std::size_t process)>& work) {
  std::vector<Child> children;
  for (std::size_t i = 0; i < count; ++i) children.push_back(Start([&, i] { work(i); }));
  std::string error;  // all of them: one that fails keeps others waiting
  for (const Child& child : children) {
    const std::string message = Await(child);
    if (!message.empty()) error += (error.empty() ? "" : "; ") + message;
  }
  if (!error.empty()) Fail(error);
}

SteppingProcess::SteppingProcess(const std::function<Step()>& begin) {
  int ends[2];
  // Messages keep their bounds: one is a question, the next its answer.
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    Fail("socketpair: no more descriptors");
  }
  std::fflush(nullptr);
  child_ = fork();
  if (child_ < 0) Fail("fork: no more processes");
  if (child_ == 0) {
    close(ends[0]);
    RunAndExit(
        [&] {
          const Step step = begin();
          for (Question question; recv(ends[1], &question, sizeof question, 0) > 0;) {
            std::vector<double> answer = step(question.what, question.argument);
            answer.insert(answer.begin(), kAnswered);
            const std::size_t bytes = answer.size() * sizeof answer[0];
            if (send(ends[1], answer.data(), bytes, 0) < 0) Fail("send: no answer");
          }
          _exit(0);
        },
        ends[1]);
  }
  close(ends[1]);
  channel_ = ends[0];
}

SteppingProcess::~SteppingProcess() {
  kill(child_, SIGKILL);
  while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
  close(channel_);
}

std::vector<double> SteppingProcess::Run(int what, std::size_t argument) {
  const Question question{what, argument};
  std::vector<double> answer(64);
  ssize_t got = send(channel_, &question, sizeof question, MSG_NOSIGNAL);
  if (got > 0) got = recv(channel_, answer.data(), answer.size() * sizeof answer[0], 0);
  if (got <= 0) Fail("a measuring process ended early");
  if (answer[0] != kAnswered) {  // a message of RunAndExit
    Fail(std::string(reinterpret_cast<const char*>(answer.data()), static_cast<std::size_t>(got)));
  }
  answer.resize(static_cast<std::size_t>(got) / sizeof answer[0]);
  answer.erase(answer.begin());
  return answer;
}

ProcessUse UseOfThisProcess() {
  constexpr char kStatus[] = "/proc/self/status", kMaps[] = "/proc/self/smaps_rollup";
  const auto bytes = [](std::uint64_t kib) { return kib * 1024; };
  const std::uint64_t shared = Number(kStatus, "RssShmem:");
  return {bytes(Number(kStatus, "VmRSS:") - shared), bytes(Number(kStatus, "VmHWM:") - shared),
          bytes(Number(kMaps, "Pss_Anon:") + Number(kMaps, "Pss_File:"))};
}

}  // namespace walmanager::bench
