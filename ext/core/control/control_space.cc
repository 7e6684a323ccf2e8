#include "ext/core/control/control_space.h"

#include <algorithm>

#include "ext/core/control/shared_words.h"

namespace walmanager {

bool ControlSpace::Has(Kind kind, std::size_t record) const {
  const auto range = SectionsOf(kind, record);
  if (!range) return true;
  return HasSection(kind, range->first) && HasSection(kind, range->last);
}

bool ControlSpace::HasSlab(std::size_t slab) const {
  return Has(slab < layout::kNearConnections ? Kind::kMoreSlabs : Kind::kManySlabs, slab);
}

bool ControlSpace::MakeSlab(std::size_t slab) {
  return Make(slab < layout::kNearConnections ? Kind::kMoreSlabs : Kind::kManySlabs, slab);
}

bool ControlSpace::MakeHot(std::size_t slab) {
  return Make(slab < layout::kNearConnections ? Kind::kHot : Kind::kManyHot, slab);
}

bool ControlSpace::HasHot(std::size_t slab) const {
  return Has(slab < layout::kNearConnections ? Kind::kHot : Kind::kManyHot, slab);
}

bool ControlSpace::MakeTraffic(std::size_t slab) {
  return Make(slab < layout::kNearConnections ? Kind::kMoreTraffic : Kind::kManyTraffic, slab);
}

bool ControlSpace::HasTraffic(std::size_t slab) const {
  return Has(slab < layout::kNearConnections ? Kind::kMoreTraffic : Kind::kManyTraffic, slab);
}

std::size_t ControlSpace::slabs() const {
  return std::min<std::size_t>(Get(file_->header.slabs_used),
                               many() ? layout::kConnections : layout::kNearConnections);
}

void ControlSpace::Mark(Kind kind, std::size_t section) {
  there_[static_cast<std::size_t>(kind)].fetch_or(std::uint64_t{1} << section,
                                                  std::memory_order_release);
}

WholeControlSpace::WholeControlSpace(layout::ControlFile* file, layout::ManyConnections* many)
    : ControlSpace(file) {
  set_many(many);
  for (std::size_t number = 1; number < layout::kSectionKinds; ++number) {
    const auto kind = static_cast<Kind>(number);
    const SectionShape& shape = *ShapeOf(kind);
    if (shape.is_many && !many) continue;
    for (std::size_t i = 0; i < shape.sections(); ++i) Mark(kind, i);
  }
}

}  // namespace walmanager
