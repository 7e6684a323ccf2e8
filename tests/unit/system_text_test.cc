#include "ext/system/system_text.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace walmanager {
namespace {

TEST(SystemText, AFileThatIsNotThereIsEmpty) {
  EXPECT_EQ(ReadSystemText("/proc/there is no such file"), "");
  EXPECT_EQ(FirstLineOf("/proc/there is no such file"), "");
  EXPECT_EQ(ReadSystemText("/proc"), "") << "a directory";
}

TEST(SystemText, AFileWithoutASizeIsReadWhole) {
  const std::string status = ReadSystemText("/proc/self/status");
  EXPECT_EQ(status.rfind("Name:\t", 0), 0u);
  EXPECT_NE(status.find("\nPid:\t" + std::to_string(getpid()) + "\n"), std::string::npos);
  EXPECT_EQ(status.back(), '\n');
  EXPECT_EQ(FirstLineOf("/proc/self/status"), status.substr(0, status.find('\n')));
}

TEST(SystemText, AFileOfManyPiecesIsReadWhole) {
  std::string path = "/tmp/system_text_test.XXXXXX";
  const int fd = mkstemp(path.data());
  std::string written;
  for (int i = 0; i < 20'000; ++i) written += std::to_string(i);
  ASSERT_EQ(write(fd, written.data(), written.size()), static_cast<ssize_t>(written.size()));
  EXPECT_EQ(ReadSystemText(path), written);
  EXPECT_EQ(FirstLineOf(path), written) << "a line without an end";
  close(fd);
  unlink(path.c_str());
}

}  // namespace
}  // namespace walmanager
