// Integer ids that do not mix: StrongId<struct KeyTag> is not StrongId<struct PairTag>.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace gs {

template <class Tag, class Rep = uint32_t>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const StrongId&) const = default;

 private:
  Rep value_ = 0;
};

}  // namespace gs

template <class Tag, class Rep>
struct std::hash<gs::StrongId<Tag, Rep>> {
  // Ids are small and dense; spread them for open-addressing tables.
  size_t operator()(gs::StrongId<Tag, Rep> id) const {
    return static_cast<size_t>(id.value()) * 0x9E3779B97F4A7C15ull;
  }
};
