#include "chat_template/builtins/loop.hpp"

#include "chat_template/values/comparison.hpp"
#include "chat_template/values/iteration.hpp"

namespace coho::trainer::jinja {

namespace {

// The next item, before its turn.
const std::optional<value>& peek_next_item(loop_object& loop) {
  if (!loop.following && !loop.ended) {
    loop.following = loop.next();
    loop.ended = !loop.following;
  }
  return loop.following;
}

// The number of items; of a generator all are taken and kept.
std::int64_t loop_length(sandbox& box, loop_object& loop) {
  if (!loop.size) {
    std::vector<value> rest;
    while (const auto& item = peek_next_item(loop)) {
      if (rest.size() == rest.capacity()) box.require_items_fit(2 * rest.size() + 1);
      rest.push_back(*item);
      loop.following.reset();
    }
    loop.size = static_cast<std::size_t>(loop.index) + 1 + rest.size();
    const auto kept = box.make_list(std::move(rest));
    loop.next = iterate_items(box, kept);
    loop.ended = false;
  }
  return static_cast<std::int64_t>(*loop.size);
}

// loop.changed(…): whether it is called with other values than the last time.
value loop_changed(sandbox& box, const loop_object& loop, const arguments& given) {
  auto& last = box.last_changed_values(loop);
  bool same = last.size() == given.positional.size() + 1;
  for (std::size_t i = 0; same && i < given.positional.size(); ++i)
    same = is_equal(box, last[i + 1], given.positional[i]);
  if (same) return value::boolean(false);
  // None first, so that a call without values is told from no call.
  last.assign(1, value());
  last.insert(last.end(), given.positional.begin(), given.positional.end());
  return value::boolean(true);
}

}  // namespace

bool advance_loop(loop_object& loop) {
  auto item = peek_next_item(loop);
  if (!item) return false;
  loop.following.reset();
  loop.previous = std::move(loop.current);
  loop.current = std::move(*item);
  ++loop.index;
  return true;
}

std::optional<value> loop_attribute(sandbox& box, const value& of, std::string_view name) {
  auto& loop = of.object_as<loop_object>();
  if (name == "index") return value::integer(loop.index + 1);
  if (name == "index0") return value::integer(loop.index);
  if (name == "first") return value::boolean(loop.index == 0);
  if (name == "last") return value::boolean(!peek_next_item(loop));
  if (name == "length") return value::integer(loop_length(box, loop));
  if (name == "revindex") return value::integer(loop_length(box, loop) - loop.index);
  if (name == "revindex0") return value::integer(loop_length(box, loop) - loop.index - 1);
  if (name == "depth") return value::integer(1);
  if (name == "depth0") return value::integer(0);
  if (name == "previtem") return loop.index == 0 ? box.make_undefined("there is no previous item") : loop.previous;
  if (name == "nextitem") {
    const auto& following = peek_next_item(loop);
    return following ? *following : box.make_undefined("there is no next item");
  }
  if (name == "cycle")
    return box.make_function(
        "cycle",
        [of](const arguments& given) {
          if (given.positional.empty()) throw failure("no items for cycling given");
          const auto index = static_cast<std::size_t>(of.object_as<loop_object>().index);
          return given.positional[index % given.positional.size()];
        },
        of);
  if (name == "changed")
    return box.make_function(
        "changed", [&box, of](const arguments& given) { return loop_changed(box, of.object_as<loop_object>(), given); },
        of);
  return std::nullopt;
}

}  // namespace coho::trainer::jinja
