#include "architecture/model_type.hpp"

#include <algorithm>

namespace coho::trainer {
namespace {

// The names of all known model types, for an error: "llama, mistral, qwen2".
template <class Name>
std::string join_type_names(Name name) {
  std::string out;
  for (const model_type& type : model_types) out += (out.empty() ? "" : ", ") + name(type);
  return out;
}

}  // namespace

const model_type* find_model_type(std::string_view name) {
  const auto found = std::ranges::find(model_types, name, &model_type::name);
  return found == model_types.end() ? nullptr : &*found;
}

const model_type* find_architecture(std::string_view architecture) {
  const auto found = std::ranges::find_if(model_types, [&](const model_type& type) {
    if (!architecture.starts_with(type.prefix)) return false;
    const auto head = architecture.substr(type.prefix.size());
    return head == "ForCausalLM" || head == "ForSequenceClassification";
  });
  return found == model_types.end() ? nullptr : &*found;
}

std::string supported_architectures() {
  return join_type_names([](const model_type& type) { return std::string(type.prefix) + "ForCausalLM"; });
}

std::string supported_model_types() {
  return join_type_names([](const model_type& type) { return std::string(type.name); });
}

}  // namespace coho::trainer
