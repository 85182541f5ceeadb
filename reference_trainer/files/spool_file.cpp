#include "files/spool_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <unistd.h>

#include <coho/error.hpp>

namespace coho::trainer {

spool_file::spool_file(const std::filesystem::path& beside) : path_(beside) {
  // A kill between the two calls below leaves an empty file of this name, which the next run removes.
  const auto name = beside.string() + ".spool";
  ::unlink(name.c_str());
  descriptor_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor_ < 0) refuse("cannot be written");
  ::unlink(name.c_str());
}

spool_file::~spool_file() { ::close(descriptor_); }

void spool_file::refuse(std::string_view action) const {
  throw file_error(path_.string(), "", std::string(action) + ": " + std::strerror(errno));
}

spool_file::place spool_file::append(std::string_view text) {
  require_argument(text.size() <= std::numeric_limits<std::uint32_t>::max(), "spool: a text of more than 4 GiB");
  const place where{written_ + buffer_.size(), static_cast<std::uint32_t>(text.size())};
  buffer_ += text;
  if (buffer_.size() >= (std::size_t{1} << 20)) flush();
  return where;
}

void spool_file::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const auto count = ::pwrite(descriptor_, rest.data(), rest.size(), static_cast<off_t>(written_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("cannot be written");
    written_ += static_cast<std::uint64_t>(count);
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  buffer_.clear();
}

std::string spool_file::read(const place& where) {
  flush();
  std::string text(where.size, '\0');
  for (std::size_t done = 0; done < text.size();) {
    const auto count =
        ::pread(descriptor_, text.data() + done, text.size() - done, static_cast<off_t>(where.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("cannot be read back");
    require_argument(count > 0, "spool: nothing was stored at this offset");
    done += static_cast<std::size_t>(count);
  }
  return text;
}

}  // namespace coho::trainer
