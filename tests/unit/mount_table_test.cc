// The type of the file system that a file is on, from the system's table.
#include "ext/core/format/mount_table.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

constexpr char kTable[] =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n"
    "23 22 0:5 / /dev rw - devtmpfs none rw\n"
    "garbage\n"
    "31 22 0:40 / /mnt/with\\040blank rw,relatime shared:5 master:1 - nfs4 host:/x rw\n"
    "32 22 0:41 / /mnt/remote rw,nosuid - fuse.sshfs host: rw\n"
    "33 22 0:42 / /mnt/odd rw -";

TEST(MountTable, FindsTheTypeByDevice) {
  EXPECT_EQ(MountType(kTable, 254, 0), "ext4");
  EXPECT_EQ(MountType(kTable, 0, 40), "nfs4");
  EXPECT_EQ(MountType(kTable, 0, 41), "fuse.sshfs");
}

TEST(MountTable, AMountPointIsAWholePath) {
  EXPECT_TRUE(IsMountPoint(kTable, "/dev"));
  EXPECT_TRUE(IsMountPoint(kTable, "/mnt/with blank"));
  EXPECT_TRUE(IsMountPoint(kTable, "/mnt/odd"));
  for (const char* path : {"", "/mnt", "/mnt/with", "/dev/", "/mnt/with\\040blank", "garbage"}) {
    EXPECT_FALSE(IsMountPoint(kTable, path)) << path;
  }
  EXPECT_FALSE(IsMountPoint("", "/"));
  EXPECT_FALSE(IsMountPoint("31 22 0:40 / /a\\440b rw - ext4 x rw", "/a b")) << "no byte is \\440";
}

TEST(MountTable, AMissingDeviceOrALineThatDoesNotParseIsUnknown) {
  EXPECT_EQ(MountType(kTable, 254, 1), std::nullopt);
  EXPECT_EQ(MountType(kTable, 0, 42), std::nullopt);
  EXPECT_EQ(MountType("", 254, 0), std::nullopt);
}

}  // namespace
}  // namespace walmanager
