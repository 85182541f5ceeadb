#include "preferences/reference_log_probs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/train/steps/loops.hpp>

#include "checkpoint/fnv1a_hash.hpp"
#include "distributed/process_group.hpp"
#include "files/data_files.hpp"
#include "jsonl/jsonl.hpp"
#include "optimization/parameter_set.hpp"

namespace coho::trainer {
namespace {

// Examples that are computed between two writes: an interrupted computation repeats no more than these.
constexpr std::size_t block = 256;

// Hashes how many numbers there are, and up to 4096 of them, evenly spaced.
void add_sample(fnv1a_hash& out, const at::Tensor& values) {
  const at::Tensor flat = values.detach().reshape({-1});
  out.add(std::to_string(flat.numel()));
  const std::int64_t stride = std::max<std::int64_t>(flat.numel() / 4096, 1);
  const at::Tensor some = flat.slice(0, 0, flat.numel(), stride).to(at::kCPU, at::kFloat).contiguous();
  out.add(some.data_ptr(), some.nbytes());
}

// The log-probabilities in a file: two numbers per example. Nothing if it is not there or has another fingerprint.
std::optional<std::vector<double>> read_stored(const std::filesystem::path& path, const std::string& fingerprint,
                                               std::size_t examples) {
  if (is_missing(path)) return std::nullopt;
  jsonl_reader reader(path, {.growing = true});
  json line;
  if (!reader.next(line) || !line.is_object() || line.value("fingerprint", json()) != json(fingerprint))
    return std::nullopt;
  std::vector<double> out;
  while (reader.next(line)) {
    for (const char* name : {"chosen", "rejected"}) {
      if (!line.is_object() || !line.contains(name) || !line[name].is_number())
        reader.fail("must be {\"chosen\": …, \"rejected\": …} with two numbers",
                    "remove the file: it is computed again");
      out.push_back(line[name].get<double>());
    }
  }
  if (out.size() > 2 * examples)
    reader.fail("there are more lines than examples", "remove the file: it is computed again");
  return out;
}

// The file of one run, on the first rank.
class log_prob_store {
 public:
  log_prob_store(const reference_log_prob_file& file, std::size_t examples, stage_context& context) {
    const std::string path = file.path.string(), partial = path + ".partial";
    if (auto stored = read_stored(file.path, file.fingerprint, examples); stored && stored->size() == 2 * examples) {
      known_ = std::move(*stored);
      context.log("the reference's log-probabilities are those in " + path);
      return;
    }
    if (file.must_match && !is_missing(file.path))
      throw file_error(path, "",
                       "holds the log-probabilities of another reference or of other examples than this run's",
                       "give the model and the data that the run was started with, or start it anew without --resume");
    const auto begun = read_stored(partial, file.fingerprint, examples);
    if (!begun && !is_missing(file.path))
      context.log("note: " + path + " belongs to another reference or other examples; computed again");
    if (begun) known_ = *begun;
    writer_.emplace(file.path, begun.has_value());
    if (writer_->count() == 0) writer_->write({{"fingerprint", file.fingerprint}, {"examples", examples}});
  }

  // What was read: two numbers per example.
  const std::vector<double>& known() const { return known_; }
  // Writes the numbers up to `end` that the file does not hold yet.
  void write(const std::vector<double>& values, std::size_t end) {
    for (std::size_t i = writer_->count() - 1; i < end; ++i)
      writer_->write({{"chosen", values[2 * i]}, {"rejected", values[2 * i + 1]}});
  }
  void finish() {
    if (writer_) writer_->finish();
  }

 private:
  std::vector<double> known_;
  std::optional<jsonl_writer> writer_;
};

// Computes the log-probabilities of one block of examples into `values`, of which it begins at `first`.
void compute_block(std::span<direct_preference_example* const> part, policy_role& reference, const batch_limits& limits,
                   process_group& ranks, std::span<double> values) {
  std::vector<std::size_t> lengths;
  for (const auto* e : part) lengths.push_back(2 * e->prompt.size() + e->chosen.size() + e->rejected.size());
  std::ranges::fill(values, 0.0);
  for (const auto& shard :
       partition(coho::detail::all_indices(part.size()), std::span<const std::size_t>(lengths), ranks).mine) {
    std::vector<direct_preference_example> mine;
    for (const std::size_t i : shard.indices) {
      mine.push_back(*part[i]);
      mine.back().reference_chosen.reset();
      mine.back().reference_rejected.reset();
    }
    coho::add_reference_log_probs(std::span(mine), reference, limits);
    for (std::size_t k = 0; k < mine.size(); ++k) {
      values[2 * shard.indices[k]] = *mine[k].reference_chosen;
      values[2 * shard.indices[k] + 1] = *mine[k].reference_rejected;
    }
  }
  ranks.all_reduce_sum(values);  // each number is of one shard: adding zeros changes nothing
}

}  // namespace

std::string reference_fingerprint(const loaded_model& model, const std::string& role,
                                  const std::vector<const direct_preference_example*>& examples) {
  fnv1a_hash out;
  const auto& base = model.bank->base();
  if (model.fingerprint) {
    for (const auto& part : {model.fingerprint->rest, model.fingerprint->linears, model.fingerprint->head})
      out.add(part);
  } else {
    add_sample(out, base.embedding);
  }
  out.add(std::to_string(static_cast<int>(base.embedding.scalar_type())) + (base.is_quantized() ? "packed" : ""));
  const at::Tensor& own = model.bank->parameters(role).values();
  const double norm = squared_norm_by_operators(own);
  out.add(&norm, sizeof norm);
  add_sample(out, own);
  for (const auto* example : examples) {
    for (const auto* tokens : {&example->prompt, &example->chosen, &example->rejected}) {
      const std::uint64_t size = tokens->size();
      out.add(&size, sizeof size);
      out.add(tokens->data(), tokens->size() * sizeof(token));
    }
  }
  return out.hexadecimal();
}

void keep_reference_log_probs(const std::vector<direct_preference_example*>& examples, policy_role& reference,
                              const batch_limits& limits, const reference_log_prob_file& file, stage_context& context) {
  process_group& ranks = *context.ranks;
  std::optional<log_prob_store> store;
  if (ranks.first()) store.emplace(file, examples.size(), context);
  std::vector<double> values(2 * examples.size(), 0.0);
  double known = 0;
  if (store) {
    std::ranges::copy(store->known(), values.begin());
    known = static_cast<double>(store->known().size() / 2);
  }
  ranks.all_reduce_sum(std::span(&known, 1));
  ranks.all_reduce_sum(std::span(values));
  // Blocks begin at the same examples in every run, so that each forward has the same sequences.
  const auto stored = static_cast<std::size_t>(known);
  if (stored < examples.size()) {
    auto bar = context.start_progress("reference", examples.size(), "examples");
    std::size_t first = stored - stored % block;
    bar.start_at(first);
    for (; first < examples.size(); first += block) {
      if (context.interrupted_anywhere()) context.stop_if_interrupted();
      const std::size_t size = std::min(block, examples.size() - first);
      compute_block(std::span(examples).subspan(first, size), reference, limits, ranks,
                    std::span(values).subspan(2 * first, 2 * size));
      if (store) store->write(values, first + size);
      bar.advance(size);
    }
    bar.finish(file.path.string());
  }
  if (store) store->finish();
  for (std::size_t i = 0; i < examples.size(); ++i) {
    examples[i]->reference_chosen = values[2 * i];
    examples[i]->reference_rejected = values[2 * i + 1];
  }
}

}  // namespace coho::trainer
