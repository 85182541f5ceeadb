#include "run/report_error.hpp"

#include <filesystem>
#include <new>
#include <ostream>
#include <string_view>
#include <system_error>

#include <nlohmann/json.hpp>

#include "config/config.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

// One line whatever the message holds: file names may hold line breaks. Below the first lines of libtorch's messages
// there are stack traces, which are left out.
std::string one_line(std::string_view text) {
  if (const auto end = text.find("\nException raised from "); end != std::string_view::npos) text = text.substr(0, end);
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return repair_utf8(out);
}

// Missing, unusable, or not writable.
exit_code file_exit_code(const file_error& failure) {
  // Writers of files name the target, which may not exist yet.
  if (std::string_view(failure.what()).find(": cannot be written") != std::string_view::npos) return exit_code::output;
  // An inaccessible path, as in a folder without permission, is not missing.
  std::error_code unknown;
  return std::filesystem::exists(failure.path(), unknown) || unknown ? exit_code::file_bad : exit_code::file_missing;
}

// For a path inspected before reading, or one being written. Only the library's texts tell them
// apart: "filesystem error: status: Permission denied [/a/b]".
described_error describe(const std::filesystem::filesystem_error& failure) {
  const std::string_view what = failure.what();
  const bool reads = what.find(": status: ") != what.npos || what.find("directory iterator") != what.npos;
  const auto path = failure.path1().string(), reason = failure.code().message();
  if (failure.code() == std::errc::no_such_file_or_directory)
    return {exit_code::file_missing, one_line(path + ": " + reason)};
  if (reads) return {exit_code::file_bad, one_line(path + ": cannot be read: " + reason)};
  return {exit_code::output, one_line(path + ": " + reason)};
}

}  // namespace

described_error describe_error(std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const interrupted_error& e) {
    return {exit_code::interrupted, one_line(e.what())};
  } catch (const check_failed_error& e) {
    return {exit_code::check_failed, one_line(e.what())};
  } catch (const usage_error& e) {
    return {exit_code::usage, one_line(e.what())};
  } catch (const config_error& e) {
    return {exit_code::config, one_line(e.what())};
  } catch (const file_error& e) {
    return {file_exit_code(e), one_line(e.what())};
  } catch (const option_error& e) {
    return {exit_code::option, one_line(e.what())};
  } catch (const argument_error& e) {
    return {exit_code::arguments, one_line(e.what())};
  } catch (const output_error& e) {
    return {exit_code::output, one_line(e.what())};
  } catch (const std::filesystem::filesystem_error& e) {
    return describe(e);
  } catch (const std::bad_alloc&) {
    return {exit_code::out_of_memory, "out of memory; a smaller batch or a shorter max length needs less"};
  } catch (const nlohmann::json::exception& e) {
    // Readers check their input and name the file; this is for a value that one did not check.
    return {exit_code::file_bad, "a JSON file holds another value than is expected there: " + one_line(e.what())};
  } catch (const std::exception& e) {
    return {exit_code::internal, "internal error: " + one_line(e.what())};
  } catch (...) {
    return {exit_code::internal, "internal error of unknown kind"};
  }
}

int report_error(std::ostream& out, const std::string& program, std::exception_ptr failure) {
  const auto described = describe_error(failure);
  out << program << ": " << described.text << std::endl;
  return static_cast<int>(described.code);
}

}  // namespace coho::trainer
