#include "ext/core/control/section_table.h"

#include <algorithm>

#include "ext/core/control/control_layout.h"

namespace walmanager {
namespace {

using layout::ControlFile;
using layout::kBlockBytes;
using layout::ManyConnections;
using layout::SectionKind;

// 256 MB; all sections that there can be take 95.
constexpr std::uint64_t kMostBlocks = std::uint64_t{1} << 12;

constexpr std::size_t Blocks(std::size_t bytes) {
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

template <typename Record>
constexpr SectionShape Shape(std::size_t offset, std::size_t first, std::size_t records,
                             std::size_t blocks = 1, bool is_many = false) {
  return {offset, first, records, sizeof(Record), blocks * kBlockBytes, is_many};
}

using layout::kManyBlocks;

constexpr SectionShape kShapes[layout::kSectionKinds] = {
    {},
    {offsetof(ControlFile, more_settings), 0, 1, sizeof(ControlFile::more_settings),
     Blocks(sizeof(ControlFile::more_settings)), false},
    Shape<layout::CheckpointSlot>(offsetof(ControlFile, more_checkpoints),
                                  layout::kFirstCheckpointRecords, layout::kCheckpointRecords),
    Shape<layout::ConnectionSlab>(offsetof(ControlFile, more_slabs), layout::kFirstConnections,
                                  layout::kNearConnections),
    Shape<layout::HotQueries>(offsetof(ControlFile, hot), 0, layout::kNearConnections),
    Shape<layout::ConnectionSlab>(offsetof(ManyConnections, slabs), layout::kNearConnections,
                                  layout::kConnections, kManyBlocks, true),
    Shape<layout::HotQueries>(offsetof(ManyConnections, hot), layout::kNearConnections,
                              layout::kConnections, kManyBlocks, true),
    Shape<layout::QueryEntry>(offsetof(ControlFile, more_queries), layout::kFirstQueries,
                              layout::kQueries),
    Shape<layout::HistorySlot>(offsetof(ControlFile, samples), 0, layout::kHistorySamples),
    Shape<layout::HistorySlot>(offsetof(ControlFile, minutes), 0, layout::kHistoryMinutes),
    Shape<layout::HistorySlot>(offsetof(ControlFile, hours), 0, layout::kHistoryHours),
    Shape<layout::AlertSlot>(offsetof(ControlFile, more_alerts), layout::kFirstAlerts,
                             layout::kAlerts),
    {offsetof(ControlFile, lock_waits), 0, 1, sizeof(layout::LockWaits),
     Blocks(sizeof(layout::LockWaits)), false},
    Shape<layout::Traffic>(offsetof(ControlFile, more_traffic), layout::kFirstConnections,
                           layout::kNearConnections),
    Shape<layout::Traffic>(offsetof(ManyConnections, traffic), layout::kNearConnections,
                           layout::kConnections, kManyBlocks, true),
};

// The set of sections that a process has is a word with a bit for each.
constexpr std::size_t kMostOfAKind = 64;
static_assert(std::ranges::all_of(kShapes, [](const SectionShape& shape) {
  return shape.bytes == 0 || shape.sections() <= kMostOfAKind;
}));
static_assert([] {
  std::size_t sections = 0;
  for (const SectionShape& shape : kShapes) sections += shape.bytes == 0 ? 0 : shape.sections();
  return sections;
}() <= layout::kSections);

// The parts of a word of the table.
struct Entry {
  std::size_t kind, version, index;
  std::uint64_t block;
};

Entry Unpack(std::uint64_t word) {
  return {word & 0xff, word >> 8 & 0xff, word >> 16 & 0xffff, word >> 32};
}

const SectionShape* KnownShape(const Entry& entry) {
  const SectionShape* const shape = ShapeOf(static_cast<SectionKind>(entry.kind));
  return shape && shape->version == entry.version ? shape : nullptr;
}

// Of a section whose length is not known, its first block.
std::uint64_t EndOf(const Entry& entry) {
  const SectionShape* shape = KnownShape(entry);
  return entry.block * kBlockBytes + (shape ? shape->bytes : kBlockBytes);
}

}  // namespace

const SectionShape* ShapeOf(SectionKind kind) {
  const auto number = static_cast<std::size_t>(kind);
  return number == 0 || number >= layout::kSectionKinds ? nullptr : &kShapes[number];
}

std::optional<SectionRange> SectionsOf(SectionKind kind, std::size_t record) {
  const SectionShape& shape = *ShapeOf(kind);
  if (record < shape.first_records) return std::nullopt;
  const std::size_t begin = (record - shape.first_records) * shape.record_bytes;
  return SectionRange{begin / shape.bytes, (begin + shape.record_bytes - 1) / shape.bytes};
}

bool NamesSection(const layout::SectionTable& table, SectionKind kind, std::size_t index) {
  return std::ranges::any_of(table.words, [&](const layout::Counter& word) {
    // Relaxed: what the word says is asked, and not what is in the section. So below.
    const Entry entry = Unpack(word.load(std::memory_order_relaxed));
    return entry.kind == static_cast<std::size_t>(kind) &&
           entry.version == ShapeOf(kind)->version && entry.index == index;
  });
}

std::size_t CountSections(const layout::SectionTable& table) {
  std::size_t count = 0;
  // Acquire: pairs with the release of AppendSection(), so that the section is there.
  while (count < table.words.size() && table.words[count].load(std::memory_order_acquire) != 0) {
    ++count;
  }
  return count;
}

std::optional<Section> ReadSection(const layout::SectionTable& table, std::size_t i,
                                   std::uint64_t file_bytes) {
  // Acquire: as in CountSections().
  const Entry entry = Unpack(table.words[i].load(std::memory_order_acquire));
  const SectionShape* shape = KnownShape(entry);
  if (!shape || entry.index >= shape->sections()) return std::nullopt;
  const Section section{static_cast<SectionKind>(entry.kind), entry.index,
                        entry.block * kBlockBytes, shape};
  if (section.at < layout::kFirstBytes || section.at + section.bytes() > file_bytes) {
    return std::nullopt;
  }
  for (std::size_t before = 0; before < i; ++before) {
    const Entry other = Unpack(table.words[before].load(std::memory_order_relaxed));
    const bool same =
        other.kind == entry.kind && other.version == entry.version && other.index == entry.index;
    if (same ||
        (section.at < EndOf(other) && other.block * kBlockBytes < section.at + section.bytes()))
      return std::nullopt;
  }
  return section;
}

std::optional<std::uint64_t> EndOfSections(const layout::SectionTable& table) {
  std::uint64_t end = layout::kFirstBytes;
  for (std::size_t i = 0; i < CountSections(table); ++i) {
    const Entry entry = Unpack(table.words[i].load(std::memory_order_relaxed));
    if (entry.block > kMostBlocks) return std::nullopt;
    if (KnownShape(entry)) end = std::max(end, EndOf(entry));
  }
  return end;
}

bool HasUnknownSections(const layout::SectionTable& table) {
  for (std::size_t i = 0; i < CountSections(table); ++i) {
    if (!KnownShape(Unpack(table.words[i].load(std::memory_order_relaxed)))) return true;
  }
  return false;
}

bool IsDamaged(const layout::SectionTable& table, std::uint64_t file_bytes) {
  for (std::size_t i = 0; i < CountSections(table); ++i) {
    const Entry entry = Unpack(table.words[i].load(std::memory_order_relaxed));
    if (KnownShape(entry) && !ReadSection(table, i, file_bytes)) return true;
  }
  return false;
}

std::optional<std::uint64_t> NextSectionAt(const layout::SectionTable& table,
                                           std::uint64_t file_bytes) {
  if (CountSections(table) == table.words.size()) return std::nullopt;
  const auto end = EndOfSections(table);
  // A section is whole before the table names it.
  if (!end || *end > file_bytes) return std::nullopt;
  if (!HasUnknownSections(table)) return end;
  return std::max(*end, (file_bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
}

void AppendSection(layout::SectionTable& table, const Section& section) {
  const std::uint64_t word =
      static_cast<std::uint64_t>(section.kind) | std::uint64_t{section.shape->version} << 8 |
      static_cast<std::uint64_t>(section.index) << 16 | section.at / kBlockBytes << 32;
  const std::size_t free = CountSections(table);
  // Release: a process that sees the word finds zeros in the section.
  if (free < table.words.size()) table.words[free].store(word, std::memory_order_release);
}

}  // namespace walmanager
