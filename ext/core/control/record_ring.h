// A ring of records in the control file: each record gets the next id, and its slot follows from
// that. A slot is a struct with the members `id` and `record`.
//
// The protocol: a slot's id is 0 while the record is written, and stored with release when it is
// done. A reader checks the id before and after it copies. A process that is killed while it writes
// loses that record and nothing else. Two processes write the same slot at once only if a whole
// ring of records was given out between the two; that record may then be a mixture.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ext/core/control/shared_words.h"

namespace walmanager {

// The ids that count: what is in the slots is not trusted.
class RingIds {
 public:
  RingIds(const layout::Counter& next_id, const layout::Counter& forgotten_id, std::size_t slots)
      : last_(Get(next_id)), forgotten_(Get(forgotten_id)), slots_(slots) {}

  // The id of the record in the slot at this place; 0: none.
  template <typename Slot>
  std::uint64_t IdIn(const Slot& slot, std::size_t place) const {
    // Acquire: pairs with the writer's release of the id.
    const std::uint64_t id = slot.id.load(std::memory_order_acquire);
    return id > forgotten_ && id <= last_ && id % slots_ == place ? id : 0;
  }

 private:
  const std::uint64_t last_, forgotten_;
  const std::size_t slots_;
};

// Copies the record. False where it is not the one with this id any more.
template <typename Slot, typename Record>
bool CopyRecord(const Slot& slot, std::uint64_t id, Record& record) {
  static_assert(sizeof record == sizeof slot.record);
  CopyWords(&record, &slot.record, sizeof record);
  // Keeps the copying above before the second look.
  std::atomic_thread_fence(std::memory_order_acquire);
  return Get(slot.id) == id;
}

// `empty`: called while the slot has no id.
template <typename Slot, typename Record, typename Empty>
void WriteRecord(Slot& slot, std::uint64_t id, const Record& record, Empty empty) {
  static_assert(sizeof record == sizeof slot.record);
  Put(slot.id, 0);
  // Keeps the writing below after the slot was marked empty.
  std::atomic_thread_fence(std::memory_order_release);
  empty();
  CopyWords(&slot.record, &record, sizeof record);
  // Release: a thread that sees the id sees the record.
  slot.id.store(id, std::memory_order_release);
}

template <typename Slot, typename Record>
void WriteRecord(Slot& slot, std::uint64_t id, const Record& record) {
  WriteRecord(slot, id, record, [] {});
}

}  // namespace walmanager
