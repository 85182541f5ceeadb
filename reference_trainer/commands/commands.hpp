#pragma once

#include <vector>

#include "config/config.hpp"
#include "program/subcommand.hpp"
#include "run/stage_context.hpp"

/// The subcommands. Their keys are those of the options that each describes: `coho options STAGE` lists them.
namespace coho::trainer {

/// `coho prompts`: a set of prompts from public collections, JSON Lines of prompt_record.
/// With `rl` (--rl) the section rl_prompts is read in place of prompts. --out is the file; next to it,
/// NAME.counts.json lists the records kept and removed per source, with reasons.
///
/// The first user query of each record is taken and cleaned; of equal texts the first is kept, across sources;
/// `count` prompts are drawn from each source, and all are shuffled. The result depends on the seed and on the
/// sources' contents. Memory grows by one hash per prompt read and 25 bytes per prompt drawn.
void run_prompts(const config& options, stage_context& context);
subcommand make_prompts_command();

/// `coho self-align`: answers of a base model under written rules, filtered, as pairs for `coho sft` (stage 0; SALMON
/// §4.1.1 and App. G).
///
/// Each prompt follows the same rules and exemplars, whose keys and values are computed once. The model writes
/// thoughts and an answer; self_align_filter decides which are kept. Writes {"instruction", "input", "output",
/// "thoughts"}, one per line, to --out, with "finished": false where the answer does not end by itself, and next to it
/// a JSON file of counts per filter, with prompts = kept + removed. self_align.rejected names a file
/// for the removed ones, with the reason.
///
/// Random streams are keyed by the prompt's number. A resumed run ends with the same files.
void run_self_align(const config& options, stage_context& context);
subcommand make_self_align_command();

/// `coho sft`: supervised fine-tuning on instructions and conversations, of an adapter or of all weights; --out is a
/// folder in PEFT's or Hugging Face's form. Only replies are trained on.
void run_sft(const config& options, stage_context& context);
subcommand make_sft_command();

/// `coho sample`: n responses to each prompt from a policy (stage 1a of SALMON), JSON Lines of sample_record.
///
/// --out is the file. Each record's random streams are keyed by its number, so that a resumed file equals an
/// uninterrupted one. The file of prompts is read twice, to count and check them and to answer them, and never held;
/// the common prefix of all prompts is computed once.
void run_sample(const config& options, stage_context& context);
subcommand make_sample_command();

/// `coho judge`: scores each pair of responses under each principle, in both orders (SALMON §3.2), JSON Lines of
/// judgement_record. The files of samples are read twice, to count the pairs and to judge them, and never held in
/// memory.
void run_judge(const config& options, stage_context& context);
subcommand make_judge_command();

/// `coho aggregate`: judge scores into preferences under sets of principles, some of them negated (SALMON §3.2 and App.
/// D).
///
/// Two passes over the judgements: statistics of each principle, then records. Next to the records,
/// <name>.summary.json counts what became of every draw.
void run_aggregate(const config& options, stage_context& context);
subcommand make_aggregate_command();

/// `coho reward`: trains a reward model on preferences, with principles (SALMON §3.3) or without (preference
/// pre-training): with `--pretrain` by the section preference_pretraining, whose defaults are those of the paper's.
///
/// Pairs stay in their files. Held-out pairs are evaluated at the end and every `evaluate_every` steps: curves
/// evaluation_* of the metrics, and evaluation.json (preference_measures.hpp, with the step); those of evaluation_share
/// are written to held_out.jsonl. The scores' mean and deviation over them, or over `statistics_pairs` training pairs,
/// go into reward_statistics.json.
void run_reward(const config& options, stage_context& context);
subcommand make_reward_command();

/// `coho dpo`: trains a policy on preferences without a reward model, by one of the library's preference losses or a
/// weighted sum of them. Dropout is off.
///
/// The reference is the policy that training starts from: its log-probabilities are computed before the first step and
/// kept in reference_log_probs.jsonl. Held-out pairs are evaluated as by `reward`: curves evaluation_* and
/// evaluation.json; those of evaluation_share are written to held_out.jsonl.
void run_dpo(const config& options, stage_context& context);
subcommand make_dpo_command();

/// `coho ppo`: trains a policy against a principle-following reward model and symbolic rewards (SALMON §3.3, §4.1.2).
/// Dropout is off.
void run_ppo(const config& options, stage_context& context);
subcommand make_ppo_command();

/// `coho generate`: continues one prompt, every prompt of a file, or, with neither, only the begin token.
///
/// For external judges it answers in their formats (benchmark_records.hpp). One prompt: its continuation goes to
/// stdout as it is sampled, or to `--out`. A file: one JSON record per prompt, to stdout or to `--out`, where an
/// interrupted run goes on with `--resume`. Record i draws from rng(seed).split(i), so that its text does not depend on
/// the batch, nor on where a run was interrupted.
subcommand make_generate_command();

/// `coho chat`: a conversation in the terminal, or with questions piped in, one per line. Answers appear as they are
/// sampled. An empty line is skipped. Commands: "/reset" (or "/new") forgets the conversation, "/system TEXT" sets the
/// system text and starts again, "/save FILE" writes the conversation as a JSON record of messages, "/help" lists them,
/// "/exit" or the end of input (Ctrl-D) ends. In a terminal Ctrl-C stops the answer; what was said stays in the
/// conversation. When the model's positions are full the oldest exchanges are dropped, with one notice.
///
/// In the plain format each question is independent.
subcommand make_chat_command();

/// `coho eval preferences` (formerly, and still, `pairs`), `coho eval hhh` and `coho eval truthfulqa` (key
/// `eval.kind`): see evaluate_preferences.hpp, evaluate_hhh.hpp and evaluate_truthfulqa.hpp. A table goes to stdout,
/// the numbers as JSON to `--out` where it is given.
subcommand make_eval_command();

/// `coho principles list`: the shipped collections, one per line. `coho principles show NAME…`: their principles as
/// text. `coho principles check FILE|NAME…`: what check_principle_file finds, with a table of weights, the probability
/// of being drawn, and lengths; exit status 1 when something is wrong. With model.path also lengths in tokens: only the
/// model's tokenizer is read.
subcommand make_principles_command();

/// `coho data FILE…`: the form of data files and folders, their columns with types, the kinds of record that stages
/// read from them, languages, duplicates, lengths in tokens with model.path, and the first records of each kind. Reads
/// every record; exit status 1 when one cannot be read.
subcommand make_data_command();

/// `coho quantize`: packs the linears of a checkpoint as NF4 and writes it in bitsandbytes' form, which this program
/// and transformers open. Memory holds the packed model and one tensor of the checkpoint at a time.
void run_quantize(const config& options, stage_context& context);
subcommand make_quantize_command();

/// `coho merge`: adds an adapter to its base's weights and writes the sum as a separate, unpacked checkpoint.
void run_merge(const config& options, stage_context& context);
subcommand make_merge_command();

/// `coho report`: one HTML page about the training runs in some folders, of their metrics and sampled responses.
void run_report(const config& options, stage_context& context);
subcommand make_report_command();

/// The subcommands above, in the order of --help.
std::vector<subcommand> stage_commands();

}  // namespace coho::trainer
