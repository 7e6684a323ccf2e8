// The memory of a control file as one process sees it: which records are there, and how more of
// them come to be.
//
// All of ControlFile can be read at any time; what is not there reads as zeros. The rule that is
// easy to break: a record outside of the first part is written only after Has() or Make() was true
// for it, here or, for a slab, by the code that claimed it. Make() may write a section to the disk
// (some 100 µs); Has() is a few loads.
// Thread rules: all members from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ext/core/control/control_layout.h"
#include "ext/core/control/section_table.h"

namespace walmanager {

class ControlSpace {
 public:
  using Kind = layout::SectionKind;

  virtual ~ControlSpace() = default;
  ControlSpace(const ControlSpace&) = delete;
  ControlSpace& operator=(const ControlSpace&) = delete;

  layout::ControlFile* file() const { return file_; }

  // Maps the sections that other processes have appended since. One load where there are none.
  virtual void Follow() {}
  // Whether the last section that was wanted could not be had for a reason that lasts.
  virtual bool IsFull() const { return false; }
  // This process is about to write to a record that is there. Maps the pages of the record alone:
  // where a page is read before it is written, the system maps the pages around it, too.
  virtual void ExpectWrites(const void* record, std::size_t bytes) {
    (void)record;
    (void)bytes;
  }
  // Whether a record may be written. `record` counts from the first of the whole array.
  bool Has(Kind kind, std::size_t record) const;
  // Appends the sections that are missing. False where that cannot be: no disk space, or another
  // process is at it for longer than 50 ms.
  bool Make(Kind kind, std::size_t record) { return Has(kind, record) || Grow(kind, record); }
  // The same for the slab of a connection, and for its own counters of statements.
  bool MakeSlab(std::size_t slab);
  bool HasSlab(std::size_t slab) const;
  bool MakeHot(std::size_t slab);
  bool HasHot(std::size_t slab) const;
  // The same for what it reads and writes.
  bool MakeTraffic(std::size_t slab);
  bool HasTraffic(std::size_t slab) const;

  // `index` < slabs(), or the shared one: kConnections.
  layout::ConnectionSlab& slab(std::size_t index) const {
    if (index < layout::kFirstConnections) return file_->slabs[index];
    if (index < layout::kNearConnections)
      return file_->more_slabs[index - layout::kFirstConnections];
    return index < layout::kConnections ? many()->slabs[index - layout::kNearConnections]
                                        : file_->shared_slab;
  }
  layout::HotQueries& hot(std::size_t index) const {
    return index < layout::kNearConnections ? file_->hot[index]
                                            : many()->hot[index - layout::kNearConnections];
  }
  layout::Traffic& traffic(std::size_t index) const {
    if (index < layout::kFirstConnections) return file_->io.traffic[index];
    return index < layout::kNearConnections ? file_->more_traffic[index - layout::kFirstConnections]
                                            : many()->traffic[index - layout::kNearConnections];
  }
  // How many slabs have ever had an owner, as far as this process can read them.
  std::size_t slabs() const;

 protected:
  explicit ControlSpace(layout::ControlFile* file) : file_(file) {}
  void set_many(layout::ManyConnections* many) { many_.store(many, std::memory_order_release); }
  layout::ManyConnections* many() const { return many_.load(std::memory_order_acquire); }
  bool HasSection(Kind kind, std::size_t section) const {
    const auto& there = there_[static_cast<std::size_t>(kind)];
    return (there.load(std::memory_order_acquire) >> section & 1) != 0;
  }
  // A section is mapped, and may be written from now on.
  void Mark(Kind kind, std::size_t section);
  virtual bool Grow(Kind kind, std::size_t record) = 0;

 private:
  layout::ControlFile* const file_;
  // Release and acquire: a thread that has the pointer finds the range reserved.
  std::atomic<layout::ManyConnections*> many_{nullptr};
  // A bit for each section of a kind. Release and acquire: whoever sees the bit finds it mapped.
  std::array<std::atomic<std::uint64_t>, layout::kSectionKinds> there_{};
};

// All of it is there: a block of memory of the caller's, `many` may be nullptr.
class WholeControlSpace final : public ControlSpace {
 public:
  explicit WholeControlSpace(layout::ControlFile* file, layout::ManyConnections* many = nullptr);

 private:
  bool Grow(Kind, std::size_t) override { return false; }
};

}  // namespace walmanager
