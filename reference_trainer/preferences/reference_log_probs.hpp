#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <coho/rollout/micro_batch.hpp>
#include <coho/train/direct_preference_examples.hpp>

#include "models/model_files.hpp"
#include "roles/policy_role.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// Where the log-probabilities of a reference are kept.
struct reference_log_prob_file {
  std::filesystem::path path;
  std::string fingerprint;  ///< of the reference and the examples
  /// Whether a file of another fingerprint is an error: a run that goes on would change its reference. Otherwise the
  /// file is replaced.
  bool must_match = false;
};

/// Tells the reference and the examples apart from others: a hash of the base's fingerprint, the number type and
/// packing that it computes with, the norm and up to 4096 values of the role's own weights, and all tokens in order.
std::string reference_fingerprint(const loaded_model& model, const std::string& role,
                                  const std::vector<const direct_preference_example*>& examples);

/// Gives each example the log-probabilities of its responses under the reference: those of the file, where it has the
/// fingerprint, and computed otherwise. The file holds JSON Lines: {"fingerprint","examples"}, then {"chosen",
/// "rejected"} per example, nats; it is written as they are computed, and an interrupted computation goes on where it
/// was, with the same result bit for bit. All ranks call together: they share the work, and only the first one reads
/// and writes. Throws file_error; interrupted_error.
void keep_reference_log_probs(const std::vector<direct_preference_example*>& examples, policy_role& reference,
                              const batch_limits& limits, const reference_log_prob_file& file, stage_context& context);

}  // namespace coho::trainer
