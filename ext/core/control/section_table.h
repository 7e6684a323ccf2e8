// The table of sections in the first part of a control file: which there are, where they begin in
// the file, and which records they hold. The bytes are treated as hostile.
// Thread rules: none of its own; AppendSection() is for the process that holds kLockGrow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "ext/core/control/layout_sections.h"

namespace walmanager {

// One kind of section, as this version knows it.
struct SectionShape {
  std::size_t offset = 0;         // in ControlFile or ManyConnections; of the first section
  std::size_t first_records = 0;  // that are in the first part, or in the kind before
  std::size_t records = 0;        // in all, with those
  std::size_t record_bytes = 0;
  std::size_t bytes = 0;    // of each section
  bool is_many = false;     // in ManyConnections
  std::size_t version = 1;  // of its records: another one for each change of them; below 256

  constexpr std::size_t total_bytes() const { return (records - first_records) * record_bytes; }
  constexpr std::size_t sections() const { return (total_bytes() + bytes - 1) / bytes; }
};

// Where the shape of a kind is known; nullptr: it is not.
const SectionShape* ShapeOf(layout::SectionKind kind);

struct Section {
  layout::SectionKind kind;
  std::size_t index = 0;  // among those of its kind
  std::uint64_t at = 0;   // in the file, in bytes
  const SectionShape* shape = nullptr;

  std::size_t bytes() const { return shape->bytes; }
  // In ControlFile or ManyConnections.
  std::size_t offset() const { return shape->offset + index * shape->bytes; }
};

// The sections of a kind that a record lies in, from `first` to `last`; it may begin in one and end
// in the next. nullopt: it is in the first part.
struct SectionRange {
  std::size_t first = 0, last = 0;
};
std::optional<SectionRange> SectionsOf(layout::SectionKind kind, std::size_t record);

// Whether the table has an entry for this section, usable or not.
bool NamesSection(const layout::SectionTable& table, layout::SectionKind kind, std::size_t index);
// How many entries the table has: up to the first that is 0.
std::size_t CountSections(const layout::SectionTable& table);
// What entry `i` says; nullopt where it cannot be a section of this version: another version or
// kind, an index that there is not, or a place in the first part, beyond `file_bytes`, or within
// a section before it.
std::optional<Section> ReadSection(const layout::SectionTable& table, std::size_t i,
                                   std::uint64_t file_bytes);
// The end of all sections of this version that the table names, in bytes; at least that of the
// first part. nullopt: the table names a place that cannot be.
std::optional<std::uint64_t> EndOfSections(const layout::SectionTable& table);
// Where the next section begins. nullopt where the table is full or names what cannot be. Where a
// newer version has appended a section, whose length this one does not know, that is after the end
// of the file.
std::optional<std::uint64_t> NextSectionAt(const layout::SectionTable& table,
                                           std::uint64_t file_bytes);
bool HasUnknownSections(const layout::SectionTable& table);
// Whether an entry of this version names what cannot be a section.
bool IsDamaged(const layout::SectionTable& table, std::uint64_t file_bytes);
// Enters a section that is all zeros on the disk.
void AppendSection(layout::SectionTable& table, const Section& section);

}  // namespace walmanager
