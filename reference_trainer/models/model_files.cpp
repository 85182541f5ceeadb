#include "models/model_files.hpp"

#include <algorithm>
#include <initializer_list>
#include <map>

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <coho/error.hpp>

#include "architecture/model_type.hpp"
#include "architecture/storage_types.hpp"
#include "checkpoint/companion_files.hpp"
#include "checkpoint/hf_model.hpp"
#include "checkpoint/lora_patterns.hpp"
#include "checkpoint/peft.hpp"
#include "checkpoint/tensor_io.hpp"
#include "files/notices.hpp"

namespace coho::trainer {
namespace {

constexpr const char* head_file = "score_head.safetensors";

/// The head of a role that has a separate head file, or undefined tensors.
scalar_head read_head_file(const std::filesystem::path& directory, std::int64_t hidden_size) {
  const auto path = directory / head_file;
  if (!std::filesystem::exists(path)) return {};
  const tensor_map tensors = read_tensors(path);
  const auto require_tensor = [&](const char* name, std::int64_t size) {
    const auto found = tensors.find(name);
    if (found == tensors.end())
      throw file_error(path.string(), "", "a scalar head needs the tensors score.weight and score.bias",
                       "train the reward model again");
    if (found->second.numel() != size || !found->second.is_floating_point())
      throw file_error(path.string(), std::string("tensor ") + name,
                       "must be " + std::to_string(size) + " floating-point numbers",
                       "give a reward model of this base");
    return found->second;
  };
  return {require_tensor("score.weight", hidden_size), require_tensor("score.bias", 1)};
}

/// The head of a sequence classifier's checkpoint, which has no bias; undefined for other checkpoints.
scalar_head classifier_head(const hf_checkpoint& checkpoint) {
  if (!checkpoint.config.sequence_classification()) return {};
  return {checkpoint.tensors.at("score.weight"), at::zeros({1})};
}

/// Gives a role a head if there is one.
void set_head(adapter_bank& bank, const std::string& role, const scalar_head& head) {
  if (head.defined()) bank.set_head(role, head.weight, head.bias);
}

/// A base that is a reward model in Hugging Face's form passes its head to the roles that start from it.
void set_base_head(loaded_model& model, const std::string& role) { set_head(*model.bank, role, model.base_head); }

/// Roles of one bank have one shape: the base's config.json applies to all of them.
void require_base_shape(const llama_config& role, const llama_config& base, const std::filesystem::path& directory) {
  const auto check = [&](const char* field, bool same) {
    if (!same)
      throw file_error((directory / "config.json").string(), field, "differs from that of the base model",
                       "give a checkpoint derived from this base");
  };
  check("vocab_size", role.vocab_size == base.vocab_size);
  check("hidden_size", role.hidden_size == base.hidden_size);
  check("intermediate_size", role.intermediate_size == base.intermediate_size);
  check("num_hidden_layers", role.num_hidden_layers == base.num_hidden_layers);
  check("num_attention_heads", role.num_attention_heads == base.num_attention_heads);
  check("num_key_value_heads", role.num_key_value_heads == base.num_key_value_heads);
  check("head_dim", role.head_dim == base.head_dim);
  check("rms_norm_eps", role.rms_norm_eps == base.rms_norm_eps);
  check("rope_parameters", role.rope == base.rope);
  check("sliding_window", role.sliding_window == base.sliding_window);
  check("attention_bias",
        role.query_key_value_bias == base.query_key_value_bias && role.output_bias == base.output_bias);
  check("mlp_bias", role.mlp_bias == base.mlp_bias);
  check("model_type", role.query_key_norm == base.query_key_norm);
}

/// Throws `file_error` unless the base's folder exists.
void check_directory(const std::filesystem::path& directory) {
  if (!std::filesystem::exists(directory))
    throw file_error(directory.string(), "", "no such directory",
                     "give --model the folder of a Hugging Face checkpoint");
}

/// Reports all notes about a folder in one line.
void report_checkpoint_notes(const std::filesystem::path& directory, const std::vector<std::string>& parts) {
  std::string line;
  for (const auto& part : parts) line += (line.empty() ? directory.string() + ": " : "; ") + part;
  if (!line.empty()) notices::setting().say(line);
}

/// Warns if an adapter was trained over other weights, by its fingerprint or else by the base's name in it: it is
/// meaningful only over its own.
void warn_of_other_base(const loaded_model& model, const std::filesystem::path& adapter,
                        const std::string& trained_on) {
  if (!model.fingerprint) return;
  const auto stored = read_fingerprint(adapter);
  if (stored) {
    const auto difference = differing_parts(stored->fingerprint, *model.fingerprint);
    if (!difference.empty())
      notices::setting().say("warning: " + adapter.string() + " was trained over " +
                             (stored->base_model.empty() ? "another base" : stored->base_model) + ", and " +
                             model.directory.string() + " has different weights (" + difference +
                             "): its output here means little");
    return;
  }
  // A folder may have been moved, and a hub's name is not a path: only their last parts can be compared.
  const std::filesystem::path named = trained_on;
  const auto last = [](std::filesystem::path path) {
    if (path.filename().empty()) path = path.parent_path();
    return path.filename();
  };
  std::error_code none;
  if (named.empty() || std::filesystem::equivalent(named, model.directory, none)) return;
  if (last(named) != last(std::filesystem::weakly_canonical(model.directory, none)))
    notices::setting().say("warning: " + adapter.string() + " was trained over " + trained_on +
                           ", by its name, and is " + "loaded over " + model.directory.string() +
                           "; it has no fingerprint to tell whether their weights are the same");
}

/// The folder's tokenizer and special tokens, for a model of this vocabulary.
loaded_model read_tokens(const std::filesystem::path& directory, std::shared_ptr<const text_tokenizer> tokenizer,
                         std::int64_t vocabulary, const std::vector<std::int64_t>& model_ends) {
  loaded_model out;
  out.directory = directory;
  out.ids = read_special_token_ids(directory, *tokenizer, vocabulary, model_ends);
  report_checkpoint_notes(directory, out.ids.contradictions);
  out.tokenizer = tokenizer->extended(out.ids.added, out.ids.begin, out.ids.end);
  return out;
}

/// A bank over the weights with the folder's tokenizer and special tokens. A tokenizer with more pieces than the
/// vocabulary has rows is refused.
loaded_model make_loaded_model(const std::filesystem::path& directory, llama_weights weights) {
  const auto tokenizer = load_tokenizer(directory);
  const std::int64_t vocabulary = weights.config.vocab_size;
  if (static_cast<std::int64_t>(tokenizer->model_size()) > vocabulary)
    throw file_error(directory.string(), tokenizer->file_name(),
                     "has " + std::to_string(tokenizer->model_size()) + " pieces, but the model has a vocabulary of " +
                         std::to_string(vocabulary),
                     "put the checkpoint's own tokenizer next to it");
  auto out = read_tokens(directory, tokenizer, vocabulary, weights.config.eos_token_ids);
  out.bank = std::make_unique<adapter_bank>(std::move(weights));
  return out;
}

}  // namespace

std::vector<std::string> loaded_model::token_texts() const {
  std::vector<std::string> out;
  for (std::int64_t id = 0; id < bank->config().vocab_size; ++id) {
    const bool known = static_cast<std::size_t>(id) < tokenizer->size();
    out.push_back(known ? std::string(tokenizer->token_bytes(static_cast<token>(id))) : std::string());
  }
  return out;
}

std::vector<token> loaded_model::banned_tokens() const {
  std::vector<token> out;
  for (std::int64_t id = 0; id < bank->config().vocab_size; ++id) {
    const auto candidate = static_cast<token>(id);
    const bool known = static_cast<std::size_t>(id) < tokenizer->size();
    const bool never = !known || tokenizer->piece(candidate).empty() || candidate == ids.begin_piece ||
                       candidate == tokenizer->pad() || candidate == tokenizer->unk();
    if (never && std::ranges::find(ids.ends, candidate) == ids.ends.end()) out.push_back(candidate);
  }
  return out;
}

loaded_model load_model(const std::filesystem::path& directory, const weight_form& form) {
  check_directory(directory);
  hf_checkpoint checkpoint = load_hf_checkpoint(directory);
  scalar_head head = classifier_head(checkpoint);
  if (head.defined()) head.weight = head.weight.to(at::kFloat, false, /*copy=*/true);
  const base_fingerprint fingerprint = compute_base_fingerprint(checkpoint);
  auto out =
      make_loaded_model(directory, llama_weights::from_tensors(checkpoint.config, std::move(checkpoint.tensors), form));
  out.base_head = std::move(head);
  out.fingerprint = fingerprint;
  return out;
}

loaded_model load_model_tokens(const std::filesystem::path& directory) {
  check_directory(directory);
  const auto tokenizer = load_tokenizer(directory);
  const auto shape = directory / "config.json";
  if (!std::filesystem::exists(shape))
    return read_tokens(directory, tokenizer, static_cast<std::int64_t>(tokenizer->size()), {});
  const auto config = llama_config::from_file(shape);
  return read_tokens(directory, tokenizer, config.vocab_size, config.eos_token_ids);
}

namespace {

/// The device that the run's options name; config_error if this program or machine does not have it.
at::Device select_device(const stage_context& context) {
  if (context.device == "cpu") return at::kCPU;
  context.check_device(at::hasCUDA(),
                       "cpu: this build of coho has no CUDA (configure with -DCOHO_CUDA=ON), or there is no GPU");
  const at::Device device(context.device);
  context.check_device(!device.has_index() || device.index() < at::detail::getCUDAHooks().getNumGPUs(),
                       "of a GPU that this machine has");
  // Without a number: the device that this process was told to use, the first unless it is one of several.
  return device.has_index() ? device : c10::impl::VirtualGuardImpl(at::kCUDA).getDevice();
}

/// model.config names the shape of plans and of random weights: next to a checkpoint it must not contradict.
void require_named_shape(const model_settings& settings) {
  const auto file = settings.path / "config.json";
  std::error_code none;
  if (settings.config.empty() || !std::filesystem::exists(file, none)) return;
  const llama_config named = *find_model_config(settings), own = llama_config::from_file(file);
  const bool same = named.hidden_size == own.hidden_size && named.intermediate_size == own.intermediate_size &&
                    named.num_hidden_layers == own.num_hidden_layers && named.query_size() == own.query_size() &&
                    named.key_value_size() == own.key_value_size() && named.head_dim == own.head_dim;
  if (!same)
    throw config_error("model.config = " + settings.config.string() + " is another shape than " + file.string() +
                       ", which the weights have: leave model.config out");
}

}  // namespace

loaded_model load_model(const model_settings& settings, const stage_context& context) {
  return load_model(settings, select_device(context), context.seed);
}

loaded_model load_model(const model_settings& settings, at::Device device, std::uint64_t seed) {
  weight_form form{.type = settings.compute == compute_type::bfloat16 ? at::kBFloat16 : at::kFloat, .device = device};
  if (settings.base == base_storage::nf4 || settings.base == base_storage::nf4_double)
    form.quantize = nf4_options{.double_quantize = settings.base == base_storage::nf4_double};
  loaded_model out;
  const rng random(seed);
  if (settings.random_weights) {
    if (settings.path.empty())
      throw config_error("model.path is not given: with model.random_weights, too, it is where the tokenizer is");
    const auto shape = find_model_config(settings);
    if (!shape)
      throw file_error((settings.path / "config.json").string(), "",
                       "no such file, and not the name of a shipped shape", "give model.config");
    const llama_weights weights = llama_weights::random(*shape, random.split(stream_key("random weights")),
                                                        /*deviation=*/0.02, form);
    out = make_loaded_model(settings.path, weights);
    if (shape->sequence_classification()) out.base_head = {at::zeros({1, shape->hidden_size}), at::zeros({1})};
  } else {
    require_named_shape(settings);
    out = load_model(settings.path, form);
  }
  out.bank->set_recomputation(settings.recompute);
  out.bank->set_dropout_random(random.split(stream_key("dropout")));
  return out;
}

void load_role(loaded_model& model, const std::string& role, const std::filesystem::path& path) {
  adapter_bank& bank = *model.bank;
  if (path.empty()) {
    bank.add_base(role);
    set_base_head(model, role);
    return;
  }
  if (!std::filesystem::exists(path))
    throw file_error(path.string(), "", "no such directory", "give the output folder of an earlier stage");
  // Everything that can be wrong with the files is found before the role exists.
  scalar_head head = read_head_file(path, bank.config().hidden_size);
  if (std::filesystem::exists(path / "adapter_config.json")) {
    const lora_weights saved = read_peft(path);
    check_lora_shapes(saved, bank.config(), path.string());
    warn_of_other_base(model, path, saved.base_model);
    lora_adapter adapter;
    for (const auto& [module, matrices] : saved.modules)
      adapter.set_pair(bank.base(), module, matrices.a, matrices.b, saved.module_scale(module));
    adapter.set_options(
        {.rank = saved.rank, .alpha = saved.alpha, .use_rslora = saved.use_rslora, .dropout = saved.dropout});
    if (!head.defined() && saved.has_head())
      head = {saved.head_weight, saved.head_bias.defined() ? saved.head_bias : at::zeros({1})};
    if (!head.defined()) head = model.base_head;
    bank.add_lora(role, std::move(adapter));
  } else {
    hf_checkpoint checkpoint = load_hf_checkpoint(path);
    require_base_shape(checkpoint.config, bank.config(), path);
    if (!head.defined()) head = classifier_head(checkpoint);
    bank.add_full(role, llama_weights::from_tensors(checkpoint.config, std::move(checkpoint.tensors),
                                                    {.type = at::kFloat, .device = bank.device()}));
  }
  set_head(bank, role, head);
}

void start_role(loaded_model& model, const std::string& role, const std::filesystem::path& from,
                const adapter_settings& settings, rng random) {
  adapter_bank& bank = *model.bank;
  const bool from_adapter = !from.empty() && std::filesystem::exists(from / "adapter_config.json");
  if (!from.empty()) {
    load_role(model, role, from);
    if (!settings.full && !from_adapter)
      throw config_error("adapter.kind = lora cannot continue from " + from.string() +
                         ", which has full weights: merge it into a base, or use full");
    if (settings.full && from_adapter)
      throw config_error("adapter.kind = full cannot continue from " + from.string() + ", which has an adapter");
    if (from_adapter) bank.modify(role).adapter.set_dropout(settings.lora.dropout);
  } else if (settings.full) {
    if (bank.base().is_quantized())
      throw config_error(
          "adapter.kind = full needs a base that is not packed as NF4: use lora, or the unpacked checkpoint");
    bank.add_full(role);
    set_base_head(model, role);
  } else {
    bank.add_lora(role, settings.lora, random);
    set_base_head(model, role);
  }
}

void save_role(loaded_model& model, const std::string& role, const std::filesystem::path& directory) {
  adapter_bank& bank = *model.bank;
  const auto& state = bank.at(role);
  std::filesystem::create_directories(directory);
  // Hugging Face's reward models have no bias: a head with a non-zero bias goes into a separate file.
  const bool own_head = state.head.defined() && state.head.bias.detach().abs().max().item<double>() > 0;
  if (state.full) {
    llama_config config = state.weights.config;
    config.quantization.clear();  // a base may be packed, a role's own weights are not
    // Weights that came from a classifier have no language-model head to write.
    const bool classifier = state.head.defined() && (!own_head || config.sequence_classification());
    config.architecture = std::string(find_model_type(config.model_type)->prefix) +
                          (classifier ? "ForSequenceClassification" : "ForCausalLM");
    tensor_map tensors;
    for (const auto& [name, tensor] : state.weights.tensors()) tensors.emplace(name, tensor.detach());
    if (classifier) {
      tensors.erase("lm_head.weight");
      tensors["score.weight"] = state.head.weight.detach().clone();
    }
    save_hf_checkpoint(directory, config, tensors, model.directory);
  } else {
    lora_weights saved;
    saved.use_rslora = state.adapter.options().use_rslora;
    saved.dropout = state.adapter.options().dropout;
    saved.base_model = std::filesystem::absolute(model.directory).string();
    std::map<std::string, double> scales;
    lora_adapter adapter = state.adapter;  // shares the tensors
    adapter.visit([&](const std::string& path, lora_pair& pair) {
      saved.modules[path] = {pair.a.detach().clone(), pair.b.detach().clone()};
      scales[path] = pair.scale;
    });
    infer_lora_config(saved, scales, bank.config().num_hidden_layers);
    if (state.head.defined() && !own_head) saved.head_weight = state.head.weight.detach().clone();
    write_peft(directory, saved);
    copy_companion_files(model.directory, directory);
    if (model.fingerprint) write_fingerprint(directory, *model.fingerprint, saved.base_model);
  }
  if (own_head)
    write_tensors(directory / head_file,
                  {{"score.weight", state.head.weight.detach()}, {"score.bias", state.head.bias.detach()}});
  // Files of another form from an earlier run would be loaded instead of this one, now that this one is complete.
  const auto remove_files = [&](std::initializer_list<const char*> names) {
    for (const char* name : names) std::filesystem::remove(directory / name);
  };
  if (state.full)
    remove_files({"adapter_config.json", "adapter_model.safetensors", fingerprint_file});
  else
    remove_files({"config.json", "model.safetensors", "model.safetensors.index.json"});
  if (!own_head) remove_files({head_file});
  if (!model.fingerprint) remove_files({fingerprint_file});
}

}  // namespace coho::trainer
