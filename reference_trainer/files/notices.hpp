#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

namespace coho::trainer {

/// Lines for people about what files say, from code that has no stage's context at hand: files that contradict each
/// other, an adapter over another base. One setting for the program; each line is said once. Nothing is said while no
/// one listens. Lines may come from several threads; the listener hears one at a time, and must not say any.
///
///     notices::setting().send_to([&](std::string_view line) { context.log(line); });
///     notices::setting().say("llama-2-7b: config.json's eos_token_id 1 is the begin token");
class notices {
 public:
  static notices& setting();

  /// From now on lines go to `listener`; what was said before may be said again. Empty: to no one.
  void send_to(std::function<void(std::string_view)> listener);
  void say(const std::string& line);

 private:
  std::mutex mutex_;
  std::function<void(std::string_view)> listener_;
  std::unordered_set<std::string> said_;
};

}  // namespace coho::trainer
