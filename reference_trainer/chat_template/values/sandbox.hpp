#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat_template/template_error.hpp"
#include "chat_template/template_limits.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// The bounds of one rendering: every value is made here, and whatever takes time is counted. Throws `failure` that
/// names the bound. Values must not outlive it.
class sandbox {
 public:
  explicit sandbox(const template_limits& limits) : limits_(limits) {}
  ~sandbox();
  sandbox(const sandbox&) = delete;
  sandbox& operator=(const sandbox&) = delete;

  const template_limits& limits() const noexcept { return limits_; }

  void step(std::size_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) refuse("steps", limits_.steps);
  }
  /// Counts the reading or writing of so many bytes.
  void work(std::size_t bytes) { step(1 + bytes / 16); }
  /// That a string of so many bytes may be made. Call it before making one that is longer than its parts.
  void require_string(std::size_t bytes);
  /// That so many items fit into memory.
  void require_items(std::size_t count);

  value text(std::string words, bool markup = false);
  value list(std::vector<value> items) { return sequence(kind::list, std::move(items)); }
  value tuple(std::vector<value> items) { return sequence(kind::tuple, std::move(items)); }
  value sequence(kind kind, std::vector<value> items);
  value dict(dictionary items);
  value view(value dict, view_part part);
  value range(std::int64_t start, std::int64_t stop, std::int64_t step);
  /// `source`: what the items come from, for the depth.
  value generator(next_item next, const value& source);
  /// An empty one. The sandbox keeps it alive, so that namespaces that hold each other are released.
  value name_space();
  void set_attribute(namespace_object& space, std::string_view name, value item);
  value loop(next_item next, const value& source);
  value function(std::string name, std::function<value(const arguments&)> body, const value& self = {});
  value undefined(std::string cause);

  /// What `loop.changed` of a loop was last called with.
  std::vector<value>& last_of(const loop_object& loop) { return changed_[loop.number]; }

  /// One level deeper, as long as the object lives.
  class level {
   public:
    explicit level(sandbox& box) : box_(box) {
      if (++box_.depth_ > box_.limits_.depth) {
        --box_.depth_;
        box_.refuse("depth", box_.limits_.depth);
      }
    }
    ~level() { --box_.depth_; }
    level(const level&) = delete;
    level& operator=(const level&) = delete;

   private:
    sandbox& box_;
  };

  [[noreturn]] void refuse(std::string_view bound, std::size_t limit) const;

 private:
  template <class Object, class... Parts>
  value make(kind kind, std::size_t bytes, std::size_t depth, Parts&&... parts);

  const template_limits limits_;
  std::size_t steps_ = 0, depth_ = 0, bytes_ = 0, loops_ = 0;
  // After the counters, which the objects that these hold count back.
  std::vector<std::shared_ptr<namespace_object>> namespaces_;
  std::unordered_map<std::size_t, std::vector<value>> changed_;
};

}  // namespace coho::trainer::jinja
