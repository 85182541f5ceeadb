#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>

#include <coho/options.hpp>

namespace coho::trainer {

/// An option of a recipe whose default is not the value of its member.
///
///     static void describe(auto&& visit, auto&... o) {
///       visit(required({"data", "the file of prompts"}), o.data...);
///       visit(otherwise("generation.slots", {"slots", "decoded together", allowed::at_least(1)}), o.slots...);
///     }
struct recipe_option : option {
  std::string_view shown;  ///< in the place of the default in tables
  bool must_be_given;

  constexpr recipe_option(option about, std::string_view in_place_of_default, bool required)
      : option(about), shown(in_place_of_default), must_be_given(required) {}
};

/// An option that must be given. Its meaning is repeated in the error.
constexpr recipe_option required(option about) { return {about, "required", true}; }

/// An option whose default depends on others, or on the run: in tables the text `shown` stands for it.
constexpr recipe_option otherwise(std::string_view shown, option about) { return {about, shown, false}; }

/// Hands all options but some to a visitor; see `without`.
template <class Visitor>
struct partial_visitor {
  Visitor* visit;
  std::initializer_list<std::string_view> names;
  bool listed;  ///< whether the named ones are handed on, or the others

  void operator()(const option& about, auto&... values) const { forward_if_selected(about, values...); }
  void operator()(const recipe_option& about, auto&... values) const { forward_if_selected(about, values...); }

 private:
  void forward_if_selected(const auto& about, auto&... values) const {
    if ((std::ranges::find(names, about.name) != names.end()) == listed) (*visit)(about, values...);
  }
};

/// The visitor for the options of another struct except some, which then belong to the same group:
///
///     generation_options::describe(without({"stop"}, visit), o.sampling...);
template <class Visitor>
partial_visitor<Visitor> without(std::initializer_list<std::string_view> names, Visitor& visit) {
  return {&visit, names, false};
}
/// The same for the named options only.
template <class Visitor>
partial_visitor<Visitor> only(std::initializer_list<std::string_view> names, Visitor& visit) {
  return {&visit, names, true};
}

/// Where the defaults of a section come from: the paper, or the released code.
enum class recipe_preset { paper, salmon_code };
constexpr auto option_names(recipe_preset) { return std::array{"paper", "salmon_code"}; }

}  // namespace coho::trainer
