#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "files/json_file.hpp"
#include "generation/stop_matcher.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "models/self_align_encoder.hpp"
#include "observe/format.hpp"
#include "observe/table.hpp"
#include "plan/plan_settings.hpp"
#include "plan/self_align_plan.hpp"
#include "records/records.hpp"
#include "roles/policy_role.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "settings/generation_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/self_align_settings.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view too_long = "question_too_long";

/// The progress of a run. Saved after each batch, so that a resumed run continues with the same counts.
struct tally {
  std::size_t read = 0, kept = 0, generated_tokens = 0;
  std::size_t unfinished = 0, truncated = 0;  // of those kept
  std::map<std::string, std::size_t> removed{}, rules{};

  // Over all reasons.
  std::size_t removed_count() const {
    std::size_t sum = 0;
    for (const auto& [reason, count] : removed) sum += count;
    return sum;
  }
  // Every reason and rule is listed, also those that did not occur.
  json to_json(const std::vector<principle>& names) const {
    json out{{"prompts", read}, {"kept", kept}, {"kept_unfinished", unfinished}, {"kept_truncated", truncated}};
    const auto count_of = [](const auto& counts, const std::string& key) {
      const auto found = counts.find(key);
      return found == counts.end() ? std::size_t{0} : found->second;
    };
    auto& reasons = out["removed"] = json::object();
    reasons[std::string(too_long)] = count_of(removed, std::string(too_long));
    for (const auto name : self_align_faults) reasons[std::string(name)] = count_of(removed, std::string(name));
    auto& named = out["rules"] = json::object();
    for (const auto& rule : names) named[rule.name] = count_of(rules, rule.name);
    out["generated_tokens"] = generated_tokens;
    return out;
  }
  // From a .progress file that `to_json` made. Throws file_error for any other.
  static tally load(const fs::path& path) {
    const auto saved = read_json(path);
    try {
      tally out{.read = saved.at("prompts").get<std::size_t>(),
                .kept = saved.at("kept").get<std::size_t>(),
                .generated_tokens = saved.at("generated_tokens").get<std::size_t>(),
                .unfinished = saved.at("kept_unfinished").get<std::size_t>(),
                .truncated = saved.at("kept_truncated").get<std::size_t>()};
      saved.at("removed").get_to(out.removed);
      saved.at("rules").get_to(out.rules);
      return out;
    } catch (const nlohmann::json::exception&) {
      throw file_error(path.string(), "", "is not the progress of coho self-align", "start anew without --resume");
    }
  }
};

// The model, the prefix in its tokens, and the files of a run.
class self_align_run {
 public:
  self_align_run(const config& options, stage_context& context, const self_align_settings& settings)
      : context_(context),
        settings_(settings),
        out_(context.out_or("self_align.jsonl")),
        model_(load_model(settings.model, context)),
        encode_(*settings.prompt, *model_.tokenizer),
        room_(compute_context_budget(options, settings, encode_.prefix().size(),
                                     static_cast<std::size_t>(model_.bank->config().max_position_embeddings))),
        ends_(model_.end_tokens()),
        filter_(settings.filters, *settings.prompt),
        root_(rng(context.seed).split(stream_key("self_align"))) {
    load_role(model_, "policy", settings.adapter);
    report_ = progress_ = out_;
    report_.replace_extension(".filters.json");
    progress_ += ".progress";
  }

  void operator()(std::size_t total) {
    if (!context_.resume) fs::remove(progress_);
    jsonl_writer kept(out_, context_.resume);
    std::optional<jsonl_writer> rejected;
    // If nothing is left of a run, its rejected records are not continued either.
    const bool begun = context_.resume && (kept.count() > 0 || !is_missing(progress_));
    if (!settings_.rejected.empty()) rejected.emplace(settings_.rejected, begun);
    if (!is_missing(progress_)) done_ = tally::load(progress_);
    if (done_.kept > kept.count() || (rejected && done_.removed_count() > rejected->count()))
      throw file_error(progress_.string(), "", "counts more records than were written", "start anew without --resume");

    policy_role policy(*model_.bank, "policy", role_options(encode_.prefix()));
    auto bar = context_.start_progress("self-align", total, "prompts");
    bar.start_at(done_.read);
    record_reader<prompt_record> reader(settings_.prompts, settings_.columns);
    prompt_record skipped;
    for (std::size_t i = 0; i < done_.read; ++i) reader.next(skipped);
    while (done_.read < total) {
      context_.stop_if_interrupted();
      std::vector<prompt_record> records(std::min(settings_.batch, total - done_.read));
      for (auto& record : records) reader.next(record);
      const auto began = std::chrono::steady_clock::now();
      const std::size_t tokens_before = done_.generated_tokens;
      // A partly written batch is answered again as a whole, and written from where the files end.
      answer_batch(policy, records, kept, rejected ? &*rejected : nullptr);
      write_json(progress_, done_.to_json(settings_.rules));
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      bar.advance(records.size(),
                  format_number(static_cast<double>(done_.generated_tokens - tokens_before) / seconds, 0) +
                      " tokens/s, " + share_of(done_.kept) + " kept");
    }
    if (rejected) rejected->finish();
    json report = done_.to_json(settings_.rules);
    report["prefix_tokens"] = room_.prefix;
    report["filters_off"] = json::array();
    for (std::size_t i = 0; i < self_align_faults.size(); ++i)
      if (!settings_.filters.on[i]) report["filters_off"].push_back(self_align_faults[i]);
    write_file(report_, report.dump(2) + "\n");
    kept.finish();
    fs::remove(progress_);
    bar.finish(out_.string());
    log_table();
  }

 private:
  // Of a role whose prompts begin with these tokens.
  policy_role_options role_options(const std::vector<token>& shared_prefix) const {
    return {.temperature = settings_.generation.temperature > 0 ? settings_.generation.temperature : 1.0,
            .banned = model_.banned_tokens(),
            .end_tokens = ends_,
            .token_texts = model_.token_texts(),
            .engine = settings_.engine,
            .shared_prefix = shared_prefix};
  }

  struct written {
    std::string text;
    bool finished = false;
  };

  /// The model's text after each prompt; nothing if the question is too long.
  std::vector<std::optional<written>> generate(policy_role& policy, const std::vector<prompt_record>& records) {
    std::vector<std::optional<written>> out(records.size());
    // Prompts that share the prefix, and those in which the tokenizer joined its end with the question.
    std::array<packed<token>, 2> prompts;
    std::array<std::vector<rng>, 2> streams;
    std::array<std::vector<std::size_t>, 2> places;
    std::vector<std::vector<token>> encoded(records.size());
    at::parallel_for(0, static_cast<std::int64_t>(records.size()), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        encoded[i] = encode_(records[i].text());
    });
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto& tokens = encoded[i];
      if (tokens.size() > room_.prefix + room_.question) continue;
      const std::size_t group = encode_.begins_with_prefix(tokens) ? 0 : 1;
      prompts[group].push_back(tokens);
      streams[group].push_back(root_.split(done_.read + i));
      places[group].push_back(i);
    }
    const auto run = [&](policy_role& role, std::size_t group) {
      const generation sampled = role.generate(prompts[group], settings_.generation, streams[group]);
      for (std::size_t k = 0; k < places[group].size(); ++k) {
        out[places[group][k]] = {decode_response(sampled.responses[k]), sampled.finished[k] != 0};
        done_.generated_tokens += sampled.responses.length(k);
      }
    };
    if (!places[0].empty()) run(policy, 0);
    if (!places[1].empty()) {
      policy_role without_prefix(*model_.bank, "policy", role_options({}));
      run(without_prefix, 1);
    }
    return out;
  }

  // The text before the end token and before the first stop string.
  std::string decode_response(std::span<const token> response) const {
    std::string bytes;
    for (const token id : response) {
      if (std::ranges::find(ends_, id) != ends_.end()) break;
      bytes += model_.tokenizer->token_bytes(id);
    }
    return repair_utf8(truncate_at_stop(bytes, settings_.generation.stop));
  }

  // Answers a batch, filters the answers, and writes what is kept and what is rejected, except what an earlier run
  // wrote.
  void answer_batch(policy_role& policy, const std::vector<prompt_record>& records, jsonl_writer& kept,
                    jsonl_writer* rejected) {
    const auto texts = generate(policy, records);
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto& record = records[i];
      if (!texts[i]) {
        reject(record, std::string(too_long), "more than " + std::to_string(room_.question) + " tokens", {}, rejected);
        continue;
      }
      self_align_reply reply = settings_.prompt->parse(texts[i]->text);
      if (!reply.answered && !settings_.filters.checks(self_align_fault::answer))
        reply.answer = std::exchange(reply.thoughts, {});
      const auto outcome = filter_(record.text(), reply, texts[i]->finished);
      if (const auto& verdict = outcome.removed) {
        reject(record, std::string(fault_name(verdict->fault)), verdict->detail, texts[i]->text, rejected);
        continue;
      }
      for (const auto& rule : settings_.rules)
        if (reply.thoughts.find("(" + rule.name + ")") != std::string::npos) ++done_.rules[rule.name];
      json line = to_json(sft_record{record, outcome.answer});
      line["thoughts"] = reply.thoughts;
      // `coho sft` teaches no end token after a text that does not end there.
      if (!outcome.finished) line["finished"] = false;
      done_.unfinished += !texts[i]->finished;
      done_.truncated += outcome.truncated;
      if (done_.kept++ == kept.count()) kept.write(line);
    }
    done_.read += records.size();
  }

  // Counts a record as removed, and writes it with its reason where rejected records are written.
  void reject(const prompt_record& record, const std::string& reason, const std::string& detail,
              const std::string& text, jsonl_writer* rejected) {
    if (rejected != nullptr && done_.removed_count() == rejected->count()) {
      json line = to_json(record);
      line["reason"] = reason;
      line["detail"] = detail;
      line["written"] = text;
      rejected->write(line);
    }
    ++done_.removed[reason];
  }

  // "12.5 %" of the prompts read.
  std::string share_of(std::size_t count) const {
    return format_number(done_.read > 0 ? 100 * static_cast<double>(count) / static_cast<double>(done_.read) : 0, 1) +
           " %";
  }

  // The counts by filter.
  void log_table() const {
    text_table table({"removed by", "prompts", "share"});
    const auto add = [&](const std::string& name, bool on) {
      const auto found = done_.removed.find(name);
      const std::size_t count = found == done_.removed.end() ? 0 : found->second;
      if (on || count > 0) {
        table.add_row({name, std::to_string(count), share_of(count)});
      } else {
        table.add_row({name + " (off)", "–", "–"});
      }
    };
    add(std::string(too_long), true);
    for (std::size_t i = 0; i < self_align_faults.size(); ++i)
      add(std::string(self_align_faults[i]), settings_.filters.on[i]);
    table.add_row({"kept", std::to_string(done_.kept), share_of(done_.kept)});
    const auto add_kept = [&](const char* name, std::size_t count) {
      if (count > 0) table.add_row({name, std::to_string(count), share_of(count)});
    };
    add_kept("  of these cut by the limit", done_.unfinished);
    add_kept("  cut where they repeat", done_.truncated);
    std::string text = table.text();
    if (text.ends_with('\n')) text.pop_back();
    context_.log(text);
    if (done_.kept == 0) context_.log("no answer was kept: " + report_.string() + " says why");
  }

  stage_context& context_;
  const self_align_settings& settings_;
  fs::path out_, report_, progress_;
  loaded_model model_;
  self_align_encoder encode_;
  context_budget room_;
  std::vector<token> ends_;
  self_align_filter filter_;
  rng root_;
  tally done_;
};

// The prompts in the file, at most self_align.limit. A line that cannot be read is found here, before hours of
// generation.
std::size_t count_prompts(const self_align_settings& settings) {
  const std::size_t limit = settings.limit > 0 ? settings.limit : std::numeric_limits<std::size_t>::max();
  record_reader<prompt_record> reader(settings.prompts, settings.columns);
  for (prompt_record record; reader.kept() < limit && reader.next(record);) continue;
  return reader.kept();
}

class self_align_stage : public stage {
 public:
  self_align_stage(const config& options, stage_context& context)
      : settings_(read_self_align_settings(options, context.dry_run)),
        planned_(read_plan_settings(options, context, settings_.model)),
        out_(context.out_or("self_align.jsonl")) {}

  void check(const config& options, stage_context&) override {
    options.check(settings_.rejected != out_, "self_align.rejected", "another file than --out");
    refuse_same_file("out", out_, {settings_.prompts});
    refuse_same_file("self_align.rejected", settings_.rejected, {settings_.prompts});
  }

  std::function<std::string()> plan(const config& options, const stage_context&) const override {
    return self_align_planner(options, settings_, planned_);
  }

  bool finished(stage_context& context) const override {
    return is_missing(out_.string() + ".progress") && log_if_complete(out_, context);
  }
  std::filesystem::path records() const override { return out_; }

  void load(const config& options, stage_context& context) override {
    // Errors in prompt and data surface before the weights are read.
    compute_context_budget(options, settings_);
    total_ = count_prompts(settings_);
    run_.emplace(options, context, settings_);
  }

  void run(stage_context&) override { (*run_)(total_); }

 private:
  self_align_settings settings_;
  plan_settings planned_;
  fs::path out_;
  std::size_t total_ = 0;
  std::optional<self_align_run> run_;
};

}  // namespace

void run_self_align(const config& options, stage_context& context) { run_stage<self_align_stage>(options, context); }

subcommand make_self_align_command() {
  return {.name = "self-align",
          .help = "answer prompts under written rules with a base model, filtered",
          .run = run_self_align,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder of an adapter, or of a trained model"},
                    {"--prompts", "self_align.prompts", "file of prompts"},
                    {"--rules", "self_align.rules", "file of rules"},
                    {"--exemplars", "self_align.exemplars", "file of exemplars"},
                    {"--template", "self_align.template", "self-align prompt"},
                    {"--rejected", "self_align.rejected", "file for what is not kept, with the reason"},
                    {"--max-tokens", "self_align.max_new_tokens", "most tokens of thoughts and answer"},
                    {"--temperature", "generation.temperature", "sampling temperature"}},
          .options = {model_section(true), section_options("self_align", self_align_options{}),
                      generation_section(self_align_sampling(), true), section_options("adapter", adapter_settings{}),
                      section_options("plan", plan_options{})}};
}

}  // namespace coho::trainer
