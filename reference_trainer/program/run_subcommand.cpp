#include "program/run_subcommand.hpp"

#include <string>
#include <string_view>
#include <utility>

#include <coho/error.hpp>

#include "program/stage_options.hpp"

namespace coho::trainer {
namespace {

// The part of `key` up to the option or group of that name ("ppo.kl_loss.clip" for "kl_loss.clip" or "clip"); empty:
// it holds none.
std::string part_up_to(const std::string& key, const std::string& name) {
  const auto found = ("." + key + ".").find("." + name + ".");
  return found == std::string::npos ? std::string() : key.substr(0, found + name.size());
}

struct recipe_key {
  std::string name, place;
};

// The key that sets an option of the library; empty: none of those read. The library knows its options by their names
// in its own structs, losses only by the last of these; a list of patterns adds the pattern to its name. A key that is
// given is meant rather than a default, which must match by more than its last name.
recipe_key find_key(const config& options, const std::string& option) {
  const auto search = [&](const std::string& name, bool given) -> recipe_key {
    for (const auto& key : options.read_keys()) {
      if (options.has(key) != given) continue;
      if (auto part = part_up_to(key, name); !part.empty()) return {std::move(part), options.place(key)};
    }
    return {};
  };
  if (auto found = search(option, true); !found.name.empty()) return found;
  const auto dot = option.rfind('.');
  if (dot == std::string::npos) return {};
  if (auto found = search(option, false); !found.name.empty()) return found;
  for (const auto& key : options.read_keys())
    if (key == option.substr(0, dot)) return {key, options.place(key)};
  return search(option.substr(dot + 1), true);
}

// Throws the problem as a config_error: the library's name of the option is replaced by the recipe's key with its
// place, and what follows " = " in the message is kept. Where no key sets the option, it is thrown unchanged.
[[noreturn]] void rethrow_as_config_error(const config& options, const option_error& problem) {
  const auto key = find_key(options, problem.option());
  if (key.name.empty()) throw problem;
  const std::string_view text = problem.what();
  throw config_error(key.place + ": " + key.name + std::string(text.substr(text.find(" = "))));
}

// Declares every key that the subcommand reads, of those in the recipe: it may have ended before it read them all.
void declare_all(const subcommand& command, const config& options) {
  constexpr std::string_view any_entry = ".NAME.";
  const auto given = options.given();
  for (const auto& option : stage_options(command)) {
    const auto at = option.key.find(any_entry);
    if (at == std::string::npos) {
      options.declare({option.key});
      continue;
    }
    const auto list = option.key.substr(0, at + 1), last = option.key.substr(at + any_entry.size() - 1);
    for (const auto& [key, value] : given)
      if (key.starts_with(list) && (key.ends_with(last) || key.ends_with(".name"))) options.declare({key});
  }
}

}  // namespace

void run_subcommand(const subcommand& command, const config& options, stage_context& context) {
  try {
    command.run(options, context);
  } catch (const option_error& problem) {
    rethrow_as_config_error(options, problem);
  } catch (const config_error&) {
    declare_all(command, options);
    options.check_unknown();
    throw;
  }
}

}  // namespace coho::trainer
