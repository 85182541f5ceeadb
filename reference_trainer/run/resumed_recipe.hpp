#pragma once

#include <filesystem>

#include "config/config.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// Whether `--resume` finds a checkpoint in the output folder of a training run. Without one the run starts over.
bool has_checkpoint(const std::filesystem::path& out);

/// `config_error` where the options read differ from those in `recipe` with which the run was started, with the place,
/// key and both values of each: a run with another rate, model or seed would be neither of the two. A file or folder
/// that has changed since is refused too. Allowed, with a line each, are options that
/// - say where the run works, and so only round otherwise: threads, device, distributed.shards, model.recompute,
/// batches
///   of one forward;
/// - say what is saved, measured or planned: save_every, keep, evaluate_every, ppo.evaluation.every, [plan];
/// - end it earlier or later: ppo.stop_kl, ppo.evaluation.patience, and ppo.steps or epochs if the learning rate does
///   not depend on the length of the run (learning_rate.total_steps is set, or kind is constant and the warm-up no
///   fraction);
/// - name a copy of the same file, or the same name in another folder where the former is gone.
/// Options of which the run has no record, and which are not given now, keep their defaults: another version wrote it.
/// Without the file all passes: nothing is known of the run's options.
void require_same_recipe(const config& options, const std::filesystem::path& recipe, stage_context& context);

}  // namespace coho::trainer
