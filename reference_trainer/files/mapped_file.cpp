#include "files/mapped_file.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <coho/error.hpp>

namespace coho::trainer {

mapped_file::mapped_file(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto refuse = [&](std::string_view action) {
    const int code = errno;
    if (descriptor >= 0) ::close(descriptor);
    throw file_error(path.string(), "", std::string(action) + ": " + std::strerror(code));
  };
  if (descriptor < 0) refuse("cannot be read");
  struct ::stat status {};
  if (::fstat(descriptor, &status) != 0) refuse("cannot be read");
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor);
    throw file_error(path.string(), "", "is not a plain file");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > 0) {  // an empty file cannot be mapped and needs no mapping
    void* const address = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
    if (address == MAP_FAILED) refuse("cannot be mapped into memory");
    data_ = static_cast<std::byte*>(address);
  }
  ::close(descriptor);
}

void mapped_file::release(std::span<const std::byte> part) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

mapped_file::~mapped_file() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace coho::trainer
