#pragma once

#include <ctime>
#include <functional>
#include <optional>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// The local time that `strftime_now` shows.
using clock_function = std::function<std::tm()>;

/// A function that every template can call: range, dict, namespace, raise_exception, strftime_now. `now` must outlive
/// it.
std::optional<value> find_global(sandbox& box, std::string_view name, const clock_function& now);

}  // namespace coho::trainer::jinja
