#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace coho::inline v0_1 {

/// Base of every exception that coho throws on purpose.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An option outside its allowed range. Thrown when the object that takes the option is constructed.
class option_error : public error {
 public:
  template <class Value>
  option_error(std::string_view option, const Value& value, std::string_view allowed)
      : error(message(option, value, allowed)), option_(option) {}

  /// Its name with those of its groups, as far as the thrower knows them: "gae.gamma" or "gamma".
  const std::string& option() const noexcept { return option_; }

 private:
  // "option NAME = VALUE is not allowed: it must be ALLOWED"
  template <class Value>
  static std::string message(std::string_view option, const Value& value, std::string_view allowed) {
    std::ostringstream out;
    out << "option " << option << " = " << value << " is not allowed: it must be " << allowed;
    return out.str();
  }

  std::string option_;
};

/// Arguments that do not fit together: lengths that differ, empty batches, values that are not finite.
class argument_error : public error {
 public:
  using error::error;
};

/// A file whose content cannot be used. Names the path, the place in it (line, tensor or byte) and the remedy.
class file_error : public error {
 public:
  file_error(std::string_view path, std::string_view place, std::string_view what, std::string_view remedy = {})
      : error(message(path, place, what, remedy)), path_(path), place_(place) {}

  const std::string& path() const noexcept { return path_; }
  const std::string& place() const noexcept { return place_; }

 private:
  // "PATH: PLACE: WHAT; REMEDY", without the parts that are empty.
  static std::string message(std::string_view path, std::string_view place, std::string_view what,
                             std::string_view remedy) {
    std::string out(path);
    if (!place.empty()) out.append(": ").append(place);
    out.append(": ").append(what);
    if (!remedy.empty()) out.append("; ").append(remedy);
    return out;
  }

  std::string path_, place_;
};

/// Throws `option_error` unless `ok`. `allowed` completes the sentence "it must be …". A function, so that each option
/// check fits on one line.
template <class Value>
constexpr void require_option(bool ok, std::string_view option, const Value& value, std::string_view allowed) {
  if (!ok) throw option_error(option, value, allowed);
}

/// Throws `argument_error` with the message `what` unless `ok`.
inline void require_argument(bool ok, const std::string& what) {
  if (!ok) throw argument_error(what);
}

}  // namespace coho::inline v0_1
