#include <utility>

#include <coho/error.hpp>
#include <coho/version.hpp>

#include "commands/commands.hpp"
#include "commands/options.hpp"
#include "commands/validate.hpp"
#include "demo/demo.hpp"
#include "files/data_files.hpp"
#include "program/application.hpp"

int main(int argc, char** argv) {
  using namespace coho::trainer;
  application program("coho", "Self-alignment with principle-following reward models: every stage of SALMON.",
                      coho::version);
  try {
    program.add_recipe_folder(shipped_file("recipes"));
  } catch (const coho::error&) {
    // Recipes given by their path still work.
  }
  for (auto& command : stage_commands()) program.add(std::move(command));
  program.add(make_demo_command());
  program.add(make_demo_base_command());
  program.add(make_options_command(program.subcommands()));
  program.add(make_validate_command(program.subcommands()));
  return program.run(argc, argv);
}
