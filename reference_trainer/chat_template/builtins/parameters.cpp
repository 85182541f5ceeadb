#include "chat_template/builtins/parameters.hpp"

#include <algorithm>

namespace coho::trainer::jinja {

parameters::parameters(std::string_view function, const arguments& given, std::initializer_list<std::string_view> names,
                       std::size_t required)
    : function_(function), names_(names), values_(names.size()) {
  if (given.positional.size() > names.size())
    throw failure(function_ + "() takes at most " + std::to_string(names.size()) + " arguments (" +
                  std::to_string(given.positional.size()) + " given)");
  for (std::size_t i = 0; i < given.positional.size(); ++i) values_[i] = &given.positional[i];
  for (const auto& [name, value] : given.named) {
    const auto at = static_cast<std::size_t>(std::ranges::find(names_, name) - names_.begin());
    if (at == names_.size()) throw failure(function_ + "() got an unexpected keyword argument '" + name + "'");
    if (values_[at] != nullptr) throw failure(function_ + "() got multiple values for argument '" + name + "'");
    values_[at] = &value;
  }
  for (std::size_t i = 0; i < required; ++i)
    if (values_[i] == nullptr)
      throw failure(function_ + "() missing required argument: '" + std::string(names_[i]) + "'");
}

positional_parameters::positional_parameters(std::string_view function, const arguments& given,
                                             std::initializer_list<std::string_view> names, std::size_t required)
    : parameters(function, given, names, required) {
  if (!given.named.empty()) throw failure(std::string(function) + "() takes no keyword arguments");
}

void parameters::refuse_type(std::size_t i, std::string_view expected) const {
  if (values_[i]->is_undefined()) refuse_undefined(*values_[i]);
  throw failure(function_ + "(): '" + std::string(names_[i]) + "' must be " + std::string(expected) + ", not '" +
                std::string(type_name(*values_[i])) + "'");
}

const std::string& parameters::text(std::size_t i) const {
  if (!values_[i]->is_kind(kind::text)) refuse_type(i, "a string");
  return values_[i]->text();
}

std::string parameters::text(std::size_t i, std::string_view otherwise) const {
  return is_given(i) ? text(i) : std::string(otherwise);
}

std::int64_t parameters::integer(std::size_t i) const {
  if (!values_[i]->is_integral()) refuse_type(i, "an integer");
  return values_[i]->integral();
}

}  // namespace coho::trainer::jinja
