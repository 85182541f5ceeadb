#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho principles list`: the shipped collections, a line each. `coho principles show NAME…`: their principles as
/// text. `coho principles check FILE|NAME…`: what check_collection finds, with a table of weights, the probability of
/// being drawn, and lengths; exit status 1 when something is wrong.
///
/// Keys: principles.action, principles.collections (paths or shipped names), principles.drawn_together,
/// principles.near_same, model.path (for lengths in tokens: of the model only its tokenizer is read).
subcommand make_principles_command();

}  // namespace coho::trainer
