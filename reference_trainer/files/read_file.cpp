#include "files/read_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <coho/error.hpp>

#include "files/file_descriptor.hpp"

namespace coho::trainer {

std::string read_file(const std::filesystem::path& path, std::size_t limit) {
  const auto refuse = [&] {
    throw file_error(path.string(), "", std::string("cannot be read: ") + std::strerror(errno));
  };
  const file_descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) refuse();
  struct ::stat status {};
  if (::fstat(file.number(), &status) != 0) refuse();
  if (S_ISDIR(status.st_mode)) throw file_error(path.string(), "", "is a directory, but a file is needed");
  std::string content;
  content.reserve(std::min(limit, static_cast<std::size_t>(status.st_size)));
  // Reading to the end rather than to st_size serves pipes as well.
  char block[1 << 16];
  for (;;) {
    const auto count = ::read(file.number(), block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse();
    if (count == 0) return content;
    if (content.size() + static_cast<std::size_t>(count) > limit) {
      throw file_error(path.string(), "",
                       "is larger than the " + std::to_string(limit) + " bytes that such a file may have");
    }
    content.append(block, static_cast<std::size_t>(count));
  }
}

}  // namespace coho::trainer
