#include "checkpoint/hf_model.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "checkpoint/bitsandbytes.hpp"
#include "checkpoint/companion_files.hpp"
#include "checkpoint/hf_names.hpp"
#include "files/atomic_file.hpp"
#include "files/json_file.hpp"
#include "files/notices.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

constexpr const char* single_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";
constexpr const char* head_name = "lm_head.weight";
constexpr const char* embedding_name = "model.embed_tokens.weight";

/// By its extension: the forms in which torch.save writes weights.
bool has_pickle_extension(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".bin" || extension == ".pt" || extension == ".pth";
}

// Throws file_error: a pickle can run code when it is opened.
[[noreturn]] void refuse_pickle(const fs::path& path) {
  throw file_error(path.string(), "", "has pickled weights, which can run code when opened, so they are not read",
                   "convert it once in Python, if you trust it: load the model with transformers and call "
                   "save_pretrained(directory, safe_serialization=True)");
}

/// Adds a file's tensors, zero-copy; refuses one that an earlier shard has.
void add_tensors(tensor_map& tensors, const safetensors_file& file) {
  for (const auto& entry : file.tensors()) {
    if (!tensors.emplace(entry.first, read_tensor(file, entry.first)).second) {
      throw file_error(file.path().string(), "tensor " + entry.first, "is also in another shard");
    }
  }
}

/// The tensors of all shards of the index, which must list exactly the tensors that they hold. File names that could
/// lead out of the folder are refused.
tensor_map read_shards(const fs::path& directory) {
  const auto path = directory / index_file;
  const auto json = read_json(path);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    throw file_error(path.string(), "weight_map", "is missing or not an object");
  }
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [name, file] : json["weight_map"].items()) {
    if (!file.is_string()) throw file_error(path.string(), "weight_map." + name, "must be a file name");
    const auto text = file.get<std::string>();
    if (text.empty() || text.find_first_of("/\\") != std::string::npos || text.find("..") != std::string::npos ||
        text.find('\0') != std::string::npos) {
      throw file_error(path.string(), "weight_map." + name, "\"" + text + "\" is not a plain file name");
    }
    if (has_pickle_extension(text)) refuse_pickle(directory / text);
    shards[text].insert(name);
  }
  tensor_map tensors;
  for (const auto& [file, names] : shards) {
    const safetensors_file shard(directory / file);
    for (const auto& name : names) shard.at(name);
    for (const auto& entry : shard.tensors()) {
      if (!names.contains(entry.first)) {
        throw file_error(shard.path().string(), "tensor " + entry.first, std::string("is not listed in ") + index_file);
      }
    }
    add_tensors(tensors, shard);
  }
  return tensors;
}

/// The tensors of the single file, or of the shards if there is none.
tensor_map read_weights(const fs::path& directory) {
  if (fs::exists(directory / single_file)) {
    tensor_map tensors;
    add_tensors(tensors, safetensors_file(directory / single_file));
    return tensors;
  }
  if (fs::exists(directory / index_file)) return read_shards(directory);
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (has_pickle_extension(entry.path())) refuse_pickle(entry.path());
  }
  throw file_error((directory / single_file).string(), "", std::string("no such file, and no ") + index_file,
                   "give the folder of a whole checkpoint");
}

/// The types that weights are converted from.
bool is_weight_type(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf || type == at::kDouble;
}

/// Removes a file that need not exist.
void remove_if_present(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

/// A tied matrix may be stored under either name, or under both. Two different matrices stay two, whatever config.json
/// says, as in transformers.
void resolve_tied_head(llama_config& config, tensor_map& tensors, const fs::path& directory) {
  if (!config.tie_word_embeddings || config.sequence_classification()) return;
  const auto head = tensors.find(head_name), embedding = tensors.find(embedding_name);
  if (head == tensors.end()) return;
  if (embedding == tensors.end()) {
    tensors.emplace(embedding_name, head->second);
    tensors.erase(head);
    return;
  }
  const auto &a = head->second, &b = embedding->second;
  if (a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && at::equal(a, b)) return;
  config.tie_word_embeddings = false;
  notices::setting().say(directory.string() + ": config.json says tie_word_embeddings, and " + head_name +
                         " is stored with different values than " + embedding_name +
                         ": both are used, as two matrices");
}

/// Packed codes may be stored as numbers of another, multi-byte type (bnb_4bit_quant_storage).
void view_codes_as_bytes(at::Tensor& codes) {
  if (codes.scalar_type() == at::kByte || codes.numel() == 0) return;
  codes = codes.contiguous().reshape({-1}).view(at::kByte).reshape({-1, 1});
}

/// Distributes tensors over files of at most `limit` bytes, in name order; a larger tensor gets a file of its own.
std::vector<tensor_map> split_into_shards(const tensor_map& tensors, std::int64_t limit) {
  std::vector<tensor_map> shards(1);
  std::int64_t filled = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto bytes = static_cast<std::int64_t>(tensor.nbytes());
    if (filled > 0 && filled + bytes > limit) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().emplace(name, tensor);
    filled += bytes;
  }
  return shards;
}

}  // namespace

void check_hf_tensors(const llama_config& config, tensor_map& tensors, std::string_view path) {
  const auto refuse = [&](const std::string& name, const std::string& what, std::string_view mend = {}) {
    throw file_error(path, "tensor " + name, what, mend);
  };
  const auto expected = hf_shapes(config);
  std::set<std::string> wanted;
  for (const auto& [name, shape] : expected) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      refuse(name, "is missing",
             name == head_name ? "a model whose head is its embedding sets tie_word_embeddings in config.json" : "");
    }
    wanted.insert(name);
    auto& tensor = found->second;
    const bool packed = tensor.scalar_type() == at::kByte || tensors.contains(name + nf4_companions[0]);
    if (!config.quantization.empty() && is_layer_linear(name) && packed) {
      view_codes_as_bytes(tensor);
      check_nf4(tensors, name, shape, path);
      for (const char* companion : nf4_companions) wanted.insert(name + companion);
      continue;
    }
    if (name == "score.weight" && tensor.dim() == 2 && tensor.size(0) != 1) {
      refuse(name,
             "has " + std::to_string(tensor.size(0)) + " rows: it scores " + std::to_string(tensor.size(0)) +
                 " labels, but a reward model has one score",
             "give a ForSequenceClassification checkpoint with num_labels 1");
    }
    if (tensor.sizes() != at::IntArrayRef(shape)) {
      refuse(name, "has shape " + shape_text(tensor.sizes()) + ", but config.json gives " + shape_text(shape));
    }
    if (!is_weight_type(tensor.scalar_type())) {
      refuse(name, std::string("has element type ") + at::toString(tensor.scalar_type()) +
                       ", which is not a type of weights");
    }
  }
  for (auto entry = tensors.begin(); entry != tensors.end();) {
    const auto& name = entry->first;
    if (wanted.contains(name)) {
      ++entry;
    } else if (name.ends_with("rotary_emb.inv_freq") || (config.tie_word_embeddings && name == head_name)) {
      entry = tensors.erase(entry);
    } else {
      refuse(name, "is not part of a model of this configuration");
    }
  }
}

hf_checkpoint load_hf_checkpoint(const fs::path& directory) {
  if (has_pickle_extension(directory)) refuse_pickle(directory);
  if (!fs::is_directory(directory)) {
    throw file_error(directory.string(), "", "is not a directory with a config.json and its weights");
  }
  hf_checkpoint checkpoint;
  checkpoint.directory = directory;
  checkpoint.config = llama_config::from_file(directory / "config.json");
  checkpoint.tensors = read_weights(directory);
  resolve_tied_head(checkpoint.config, checkpoint.tensors, directory);
  check_hf_tensors(checkpoint.config, checkpoint.tensors, directory.string());
  return checkpoint;
}

void save_hf_checkpoint(const fs::path& directory, llama_config config, tensor_map tensors, const fs::path& tokenizer,
                        std::int64_t shard_bytes) {
  require_option(shard_bytes > 0, "shard_bytes", shard_bytes, "above 0");
  check_hf_tensors(config, tensors, directory.string());
  switch (tensors.at("model.embed_tokens.weight").scalar_type()) {
    case at::kFloat:
      config.torch_dtype = "float32";
      break;
    case at::kBFloat16:
      config.torch_dtype = "bfloat16";
      break;
    case at::kHalf:
      config.torch_dtype = "float16";
      break;
    default:
      config.torch_dtype = "float64";
      break;
  }
  fs::create_directories(directory);
  const std::map<std::string, std::string> metadata{{"format", "pt"}};
  const auto shards = split_into_shards(tensors, shard_bytes);
  if (shards.size() == 1) {
    write_tensors(directory / single_file, tensors, metadata);
    remove_if_present(directory / index_file);
  } else {
    nlohmann::json map = nlohmann::json::object();
    std::int64_t total = 0;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      char name[64];
      std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
      write_tensors(directory / name, shards[i], metadata);
      for (const auto& [tensor, value] : shards[i]) {
        map[tensor] = name;
        total += static_cast<std::int64_t>(value.nbytes());
      }
    }
    write_json(directory / index_file, {{"metadata", {{"total_size", total}}}, {"weight_map", map}});
    remove_if_present(directory / single_file);  // a stale one would take precedence over the index
  }
  if (fs::is_directory(tokenizer)) {
    copy_companion_files(tokenizer, directory);
  } else if (!tokenizer.empty()) {
    const auto target = directory / "tokenizer.model";
    std::error_code ignored;
    if (!fs::equivalent(tokenizer, target, ignored)) copy_atomically(tokenizer, target);
  }
  write_json(directory / "config.json", config.to_json());
}

}  // namespace coho::trainer
