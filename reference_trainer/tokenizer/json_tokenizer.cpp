#include "tokenizer/json_tokenizer.hpp"

#include <algorithm>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/error.hpp>

namespace coho::trainer {

static_assert(coho::tokenizer<json_tokenizer>);

json_tokenizer::json_tokenizer(token_pipeline pipeline, token bos, token eos)
    : pipeline_(std::move(pipeline)), bos_(bos), eos_(eos) {
  for (const auto& each : pipeline_.added()) special_.push_back({each.text, each.id});
  std::vector<std::string> bytes(pipeline_.size());
  for (std::size_t id = 0; id < bytes.size(); ++id)
    if (!is_control(static_cast<token>(id))) bytes[id] = pipeline_.bytes(static_cast<token>(id));
  bytes_ = std::make_shared<const std::vector<std::string>>(std::move(bytes));
}

json_tokenizer::json_tokenizer(token_pipeline pipeline)
    : json_tokenizer(pipeline, pipeline.begin_tokens().empty() ? -1 : pipeline.begin_tokens().front(), -1) {}

json_tokenizer json_tokenizer::from_file(const std::filesystem::path& path) {
  return json_tokenizer(token_pipeline::from_file(path));
}

json_tokenizer json_tokenizer::from_text(std::string_view json, std::string_view path) {
  return json_tokenizer(token_pipeline::from_text(json, path));
}

json_tokenizer json_tokenizer::with_tokens(const std::vector<added_token>& added, token bos, token eos) const {
  const auto named = [&](const added_token& own) {
    return std::ranges::any_of(added, [&](const auto& other) { return other.text == own.text && other.id == own.id; });
  };
  std::vector<added_token> all;
  for (const auto& own : pipeline_.added())
    if (static_cast<std::size_t>(own.id) < model_size() || named(own)) all.push_back(own);
  for (const auto& each : added) {
    require_argument(each.id >= 0 && !each.text.empty(), "with_tokens: a token without text or with an id below 0");
    const auto same = std::ranges::find_if(all, [&](const auto& o) { return o.id == each.id || o.text == each.text; });
    const auto other = pipeline_.piece(each.id);
    // The tokenizer.json decides what the ids that it has mean.
    if (same == all.end() && (other.empty() || other == each.text)) all.push_back(each);
  }
  for (auto& each : all) each.special = each.special || each.id == bos || each.id == eos;
  return {pipeline_.with_added_tokens(std::move(all)), bos, eos};
}

std::shared_ptr<const text_tokenizer> json_tokenizer::extended(const std::vector<added_token>& added, token bos,
                                                               token eos) const {
  return std::make_shared<json_tokenizer>(with_tokens(added, bos, eos));
}

std::vector<token> json_tokenizer::encode(std::string_view text) const {
  return pipeline_.encode(text, token_text::plain);
}

std::string json_tokenizer::decode(std::span<const token> tokens) const {
  for (const token id : tokens) check_id(id);
  return pipeline_.decode(tokens);
}

std::string_view json_tokenizer::token_bytes(token id) const {
  check_id(id);
  return (*bytes_)[static_cast<std::size_t>(id)];
}

std::string_view json_tokenizer::piece(token id) const {
  check_id(id);
  return pipeline_.piece(id);
}

token json_tokenizer::piece_to_id(std::string_view piece) const {
  const token id = pipeline_.find(piece);
  return id >= 0 ? id : unk();
}

bool json_tokenizer::is_control(token id) const {
  check_id(id);
  const auto* known = pipeline_.added(id);
  return known ? known->special : pipeline_.piece(id).empty();
}

}  // namespace coho::trainer
