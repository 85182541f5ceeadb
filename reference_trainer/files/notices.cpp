#include "files/notices.hpp"

#include <utility>

namespace coho::trainer {

notices& notices::setting() {
  static notices all;
  return all;
}

void notices::send_to(std::function<void(std::string_view)> listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
  said_.clear();
}

void notices::say(const std::string& line) { say_first(line, line); }

void notices::say_first(const std::string& topic, const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (listener_ && said_.insert(topic).second) listener_(line);
}

}  // namespace coho::trainer
