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

#include "chat_template/errors/template_error.hpp"
#include "chat_template/values/template_limits.hpp"
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

  /// As the constructor got them.
  const template_limits& limits() const noexcept { return limits_; }

  /// Counts evaluated expressions, visited items and the like. Throws at `steps`.
  void count_steps(std::size_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) refuse_beyond_limit("steps", limits_.steps);
  }
  /// Counts the reading or writing of a text: a step for 16 bytes.
  void count_bytes(std::size_t bytes) { count_steps(1 + bytes / 16); }
  /// Throws at `string_bytes` and `memory_bytes`. Call it before making a string that is longer than its parts.
  void require_string_fits(std::size_t bytes);
  /// Throws at `memory_bytes`. Call it before making a list that is longer than its parts.
  void require_items_fit(std::size_t count);

  // Values whose memory counts against `memory_bytes`, where they throw, and at values more than 200 deep.

  /// `markup`: whether it is Markup, that is, safe in HTML.
  value make_text(std::string words, bool markup = false);
  value make_list(std::vector<value> items) { return make_sequence(kind::list, std::move(items)); }
  value make_tuple(std::vector<value> items) { return make_sequence(kind::tuple, std::move(items)); }
  value make_sequence(kind kind, std::vector<value> items);
  value make_dict(dictionary items);
  value make_view(value dict, view_part part);
  value make_range(std::int64_t start, std::int64_t stop, std::int64_t step);
  /// `source`: what the items come from, whose depth counts.
  value make_generator(next_item next, const value& source);
  /// An empty namespace. The sandbox keeps it alive, so that namespaces that hold each other are released.
  value make_namespace();
  /// Attributes are the only values that change; their memory counts too.
  void set_namespace_attribute(namespace_object& space, std::string_view name, value item);
  /// The variable `loop` of a loop over `source`.
  value make_loop(next_item next, const value& source);
  /// `self`: the object of a method, whose depth counts.
  value make_function(std::string name, std::function<value(const arguments&)> body, const value& self = {});
  /// `cause`: the message of the failure of using it.
  value make_undefined(std::string cause);

  /// What `loop.changed` of a loop was last called with.
  std::vector<value>& last_changed_values(const loop_object& loop) { return changed_[loop.number]; }

  /// One level deeper, as long as the object lives. Its constructor throws at `depth`.
  class depth_guard {
   public:
    explicit depth_guard(sandbox& box) : box_(box) {
      if (++box_.depth_ > box_.limits_.depth) {
        --box_.depth_;
        box_.refuse_beyond_limit("depth", box_.limits_.depth);
      }
    }
    ~depth_guard() { --box_.depth_; }
    depth_guard(const depth_guard&) = delete;
    depth_guard& operator=(const depth_guard&) = delete;

   private:
    sandbox& box_;
  };

  /// Throws the failure that names a member of `template_limits` and its value.
  [[noreturn]] void refuse_beyond_limit(std::string_view bound, std::size_t limit) const;

 private:
  /// `bytes`: what the object holds outside of itself. Throws at `memory_bytes` and at 200 levels of `depth`.
  template <class Object, class... Parts>
  value make_object(kind kind, std::size_t bytes, std::size_t depth, Parts&&... parts);

  const template_limits limits_;
  std::size_t steps_ = 0, depth_ = 0, bytes_ = 0, loops_ = 0;
  // After the counters, which the objects that these hold count back.
  std::vector<std::shared_ptr<namespace_object>> namespaces_;
  std::unordered_map<std::size_t, std::vector<value>> changed_;
};

}  // namespace coho::trainer::jinja
