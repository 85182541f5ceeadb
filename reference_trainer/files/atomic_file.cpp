#include "files/atomic_file.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, std::string_view action) {
  const int code = errno;
  throw file_error(path.string(), "", std::string(action) + ": " + std::strerror(code));
}

std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> count{0};
  auto name = path;
  name += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
  return name;
}

}  // namespace

atomic_file::atomic_file(std::filesystem::path path) : path_(std::move(path)), temporary_(temporary_beside(path_)) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) refuse(path_, "cannot be written");
}

atomic_file::~atomic_file() { discard(); }

void atomic_file::discard() noexcept {
  if (descriptor_ < 0) return;
  ::close(std::exchange(descriptor_, -1));
  ::unlink(temporary_.c_str());
}

void atomic_file::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) throw file_error(path_.string(), "", "was written to after it had been committed");
  while (!bytes.empty()) {
    const auto written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(path_, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void atomic_file::commit() {
  if (descriptor_ < 0) throw file_error(path_.string(), "", "was committed twice");
  if (::fsync(descriptor_) != 0) refuse(path_, "cannot be flushed to the disk");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) refuse(path_, "cannot be renamed to its final name");
  ::close(std::exchange(descriptor_, -1));
  flush_directory(path_.parent_path());
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  atomic_file file(path);
  file.write(content);
  file.commit();
}

void copy_atomically(const std::filesystem::path& from, const std::filesystem::path& to) {
  write_file(to, read_file(from));
}

std::string read_file(const std::filesystem::path& path, std::size_t limit) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) refuse(path, "cannot be read");
  struct closer {
    int descriptor;
    ~closer() { ::close(descriptor); }
  } const close_at_end{descriptor};

  struct ::stat status {};
  if (::fstat(descriptor, &status) != 0) refuse(path, "cannot be read");
  if (S_ISDIR(status.st_mode)) throw file_error(path.string(), "", "is a directory, but a file is needed");
  std::string content;
  content.reserve(std::min(limit, static_cast<std::size_t>(status.st_size)));
  // Reading to the end rather than to st_size serves pipes as well.
  char block[1 << 16];
  for (;;) {
    const auto count = ::read(descriptor, block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(path, "cannot be read");
    if (count == 0) return content;
    if (content.size() + static_cast<std::size_t>(count) > limit) {
      throw file_error(path.string(), "",
                       "is larger than the " + std::to_string(limit) + " bytes that such a file may have");
    }
    content.append(block, static_cast<std::size_t>(count));
  }
}

void flush_directory(const std::filesystem::path& directory) {
  const auto name = directory.empty() ? std::filesystem::path(".") : directory;
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;  // some file systems do not open directories; the rename has happened anyway
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace coho::trainer
