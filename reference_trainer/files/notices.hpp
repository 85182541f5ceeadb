#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

namespace coho::trainer {

/// Messages that a run reports once, from code that has no stage context or meets their cause again and again: files
/// that contradict each other, an adapter over another base, sequences that are too long. One instance per program.
/// Nothing is reported without a listener. Lines may come from several threads; the listener gets one at a time and
/// must not add any.
///
///     notices::setting().send_to([&](std::string_view line) { context.log(line); });
///     notices::setting().say("llama-2-7b: config.json's eos_token_id 1 is the begin token");
class notices {
 public:
  static notices& setting();

  /// From now on lines go to `listener`, including repetitions of earlier ones. Empty: no listener.
  void send_to(std::function<void(std::string_view)> listener);
  /// Each line once.
  void say(const std::string& line);
  /// Only the first line of a topic, for lines that differ in a number.
  void say_first(const std::string& topic, const std::string& line);

 private:
  std::mutex mutex_;
  std::function<void(std::string_view)> listener_;
  std::unordered_set<std::string> said_;  ///< lines and topics
};

}  // namespace coho::trainer
