#include "files/atomic_file.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <coho/error.hpp>

#include "files/read_file.hpp"

namespace coho::trainer {
namespace {

// "<path>: <action>: <the reason in errno>".
[[noreturn]] void throw_errno(const std::filesystem::path& path, std::string_view action) {
  const int code = errno;
  throw file_error(path.string(), "", std::string(action) + ": " + std::strerror(code));
}

// In the target's folder, since rename does not work across file systems; the process id and a counter keep writers of
// one target apart.
std::filesystem::path temporary_path_for(const std::filesystem::path& path) {
  static std::atomic<unsigned> count{0};
  auto name = path;
  name += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
  return name;
}

}  // namespace

atomic_file::atomic_file(std::filesystem::path path)
    : path_(std::move(path)),
      temporary_(temporary_path_for(path_)),
      descriptor_(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (!descriptor_.is_open()) throw_errno(path_, "cannot be written");
}

atomic_file::~atomic_file() { discard(); }

void atomic_file::discard() noexcept {
  if (!descriptor_.is_open()) return;
  descriptor_.close();
  ::unlink(temporary_.c_str());
}

void atomic_file::write(std::span<const std::byte> bytes) {
  if (!descriptor_.is_open()) throw file_error(path_.string(), "", "was written to after it had been committed");
  if (!write_all(descriptor_.number(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}))
    throw_errno(path_, "cannot be written");
}

void atomic_file::commit() {
  if (!descriptor_.is_open()) throw file_error(path_.string(), "", "was committed twice");
  if (::fsync(descriptor_.number()) != 0) throw_errno(path_, "cannot be flushed to the disk");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_errno(path_, "cannot be renamed to its final name");
  descriptor_.close();
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

void flush_directory(const std::filesystem::path& directory) {
  const auto name = directory.empty() ? std::filesystem::path(".") : directory;
  const file_descriptor folder(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.is_open()) ::fsync(folder.number());
}

}  // namespace coho::trainer
