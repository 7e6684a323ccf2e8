#include "ext/checkpoint/own_connection_entry.h"

#include <gtest/gtest.h>

#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

class OwnConnectionEntryTest : public testing::Test {
 protected:
  std::vector<ConnectionEntry> Shown() { return control_->Get()->Connections(); }

  std::unique_ptr<ControlInUse> control_ = MakePrivateControl();
  OwnConnectionEntry entry_{"/a/database", *control_};
};

TEST_F(OwnConnectionEntryTest, IsOneConnectionWhileItIsShown) {
  EXPECT_TRUE(Shown().empty());
  entry_.Show();
  entry_.Show();
  ASSERT_EQ(Shown().size(), 1u);
  EXPECT_EQ(Shown()[0].role, ConnectionRole::kCheckpointer);
  EXPECT_EQ(Shown()[0].application, "walmanager");
  EXPECT_EQ(Shown()[0].file, "/a/database");
  entry_.Hide();
  EXPECT_TRUE(Shown().empty());
}

TEST_F(OwnConnectionEntryTest, KeepsItsIdWhenItIsShownAgain) {
  entry_.Show();
  const std::uint64_t id = Shown()[0].id;
  EXPECT_NE(id, 0u);
  entry_.Hide();
  entry_.Show();
  EXPECT_EQ(Shown()[0].id, id);
}

TEST_F(OwnConnectionEntryTest, LeavesTheFileInWhichItWasShown) {
  const auto before = control_->Get();
  entry_.Show();
  control_->Replace(MakePrivateControl()->Get());
  entry_.Show();
  EXPECT_TRUE(before->Connections().empty());
  EXPECT_EQ(Shown().size(), 1u);
}

}  // namespace
}  // namespace walmanager
