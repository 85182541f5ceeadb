#include "files/spool_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <unistd.h>

#include <coho/error.hpp>

namespace coho::trainer {

spool_file::spool_file(const std::filesystem::path& owner) : path_(owner) {
  // A kill between the two calls below leaves an empty file of this name, which the next run removes.
  const auto name = owner.string() + ".spool";
  ::unlink(name.c_str());
  descriptor_ = file_descriptor(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!descriptor_.is_open()) throw_errno("cannot be written");
  ::unlink(name.c_str());
}

void spool_file::throw_errno(std::string_view action) const {
  throw file_error(path_.string(), "", std::string(action) + ": " + std::strerror(errno));
}

spool_file::extent spool_file::append(std::string_view text) {
  require_argument(text.size() <= std::numeric_limits<std::uint32_t>::max(), "spool: a text of more than 4 GiB");
  const extent where{written_ + buffer_.size(), static_cast<std::uint32_t>(text.size())};
  buffer_ += text;
  if (buffer_.size() >= (std::size_t{1} << 20)) flush();
  return where;
}

void spool_file::flush() {
  if (!write_all(descriptor_.number(), buffer_)) throw_errno("cannot be written");
  written_ += buffer_.size();
  buffer_.clear();
}

std::string spool_file::read(const extent& where) {
  flush();
  std::string text(where.size, '\0');
  const auto count = read_at(descriptor_.number(), text, where.offset);
  if (count < 0) throw_errno("cannot be read back");
  require_argument(static_cast<std::size_t>(count) == text.size(), "spool: nothing was stored at this offset");
  return text;
}

}  // namespace coho::trainer
