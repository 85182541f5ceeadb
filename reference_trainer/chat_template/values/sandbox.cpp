#include "chat_template/values/sandbox.hpp"

#include <algorithm>

namespace coho::trainer::jinja {

namespace {

// Values within values, where each level costs some stack when they are compared, printed or released.
constexpr std::size_t deepest_value = 200;

// The depth of a value that holds the items.
std::size_t depth_around(const std::vector<value>& items) {
  std::size_t out = 0;
  for (const auto& item : items) out = std::max(out, item.depth());
  return out + 1;
}

}  // namespace

sandbox::~sandbox() {
  for (const auto& space : namespaces_) space->attributes.clear();
}

void sandbox::refuse_beyond_limit(std::string_view bound, std::size_t limit) const {
  throw failure("more than " + std::to_string(limit) + " " + std::string(bound) +
                ": the limit of chat templates; simplify the template");
}

void sandbox::require_string_fits(std::size_t bytes) {
  if (bytes > limits_.string_bytes) refuse_beyond_limit("string_bytes", limits_.string_bytes);
  if (bytes_ + bytes > limits_.memory_bytes) refuse_beyond_limit("memory_bytes", limits_.memory_bytes);
}

void sandbox::require_items_fit(std::size_t count) {
  if (count > limits_.memory_bytes / sizeof(value) || bytes_ + count * sizeof(value) > limits_.memory_bytes)
    refuse_beyond_limit("memory_bytes", limits_.memory_bytes);
}

template <class Object, class... Parts>
value sandbox::make_object(kind kind, std::size_t bytes, std::size_t depth, Parts&&... parts) {
  bytes += sizeof(Object);
  if (bytes_ + bytes > limits_.memory_bytes) refuse_beyond_limit("memory_bytes", limits_.memory_bytes);
  if (depth > deepest_value)
    throw failure("values within values, more than " + std::to_string(deepest_value) + " deep");
  auto out = std::make_shared<Object>(std::forward<Parts>(parts)...);
  out->meter = &bytes_;
  out->bytes = bytes;
  out->depth = depth;
  bytes_ += bytes;
  return {kind, std::move(out)};
}

value sandbox::make_text(std::string words, bool markup) {
  require_string_fits(words.size());
  const auto bytes = words.capacity();
  return make_object<text_object>(kind::text, bytes, 0, std::move(words), markup);
}

value sandbox::make_sequence(kind kind, std::vector<value> items) {
  count_steps(items.size() / 8);
  const auto depth = depth_around(items);
  const auto bytes = items.capacity() * sizeof(value);
  return make_object<sequence_object>(kind, bytes, depth, std::move(items));
}

value sandbox::make_dict(dictionary items) {
  count_steps(items.size() / 8);
  std::size_t depth = 0;
  for (const auto& [key, item] : items.entries()) depth = std::max({depth, key.depth(), item.depth()});
  const auto bytes = items.size() * (2 * sizeof(value) + 4 * sizeof(void*));
  return make_object<dict_object>(kind::dict, bytes, depth + 1, std::move(items));
}

value sandbox::make_view(value dict, view_part part) {
  const auto depth = dict.depth() + 1;
  return make_object<view_object>(kind::view, 0, depth, std::move(dict), part);
}

value sandbox::make_range(std::int64_t start, std::int64_t stop, std::int64_t by) {
  return make_object<range_object>(kind::range, 0, 0, start, stop, by);
}

value sandbox::make_generator(next_item next, const value& source) {
  return make_object<generator_object>(kind::generator, 64, source.depth() + 1, std::move(next));
}

value sandbox::make_namespace() {
  auto out = make_object<namespace_object>(kind::name_space, 0, 0);
  namespaces_.push_back(std::static_pointer_cast<namespace_object>(out.shared_object()));
  return out;
}

void sandbox::set_namespace_attribute(namespace_object& space, std::string_view name, value item) {
  if (space.attributes.find(name) == nullptr) {
    const auto bytes = name.size() + 2 * sizeof(value);
    if (bytes_ + bytes > limits_.memory_bytes) refuse_beyond_limit("memory_bytes", limits_.memory_bytes);
    space.bytes += bytes;
    bytes_ += bytes;
  }
  space.attributes.set(make_text(std::string(name)), std::move(item));
}

value sandbox::make_loop(next_item next, const value& source) {
  auto out = make_object<loop_object>(kind::loop, 64, source.depth() + 1);
  auto& loop = out.object_as<loop_object>();
  loop.next = std::move(next);
  loop.size = length_of(source);
  loop.number = ++loops_;
  return out;
}

value sandbox::make_function(std::string name, std::function<value(const arguments&)> body, const value& self) {
  return make_object<function_object>(kind::function, 64, self.depth() + 1, std::move(name), std::move(body));
}

value sandbox::make_undefined(std::string cause) {
  const auto bytes = cause.capacity();
  return make_object<undefined_object>(kind::undefined, bytes, 0, std::move(cause));
}

}  // namespace coho::trainer::jinja
