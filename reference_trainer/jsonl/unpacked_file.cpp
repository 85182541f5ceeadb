#include "jsonl/unpacked_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>
#include <zstd.h>

#include <zlib.h>

#include <coho/error.hpp>

#include "files/file_descriptor.hpp"

namespace coho::trainer {

// The bytes of the file as they are, and what reads them. This one takes them as they are.
struct unpacked_file::stream {
  file_descriptor file;
  std::vector<char> packed = std::vector<char>(1 << 16);
  std::size_t begin = 0, end = 0;
  std::string fault;
  bool regular = false;

  stream() = default;
  stream(const stream&) = delete;
  virtual ~stream() = default;

  // Whether packed bytes are left; reads the next ones where they are used up.
  bool fill() {
    while (begin == end) {
      const auto got = ::read(file.number(), packed.data(), packed.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fault = std::string("cannot be read: ") + std::strerror(errno);
      if (got <= 0) return false;
      begin = 0;
      end = static_cast<std::size_t>(got);
    }
    return true;
  }
  // The same at the beginning of a file, from which its form is recognised: a pipe may give it in small parts.
  void fill_beginning() {
    constexpr std::size_t enough = 512;
    while (end < enough) {
      const auto got = ::read(file.number(), packed.data() + end, packed.size() - end);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fault = std::string("cannot be read: ") + std::strerror(errno);
      if (got <= 0) return;
      end += static_cast<std::size_t>(got);
    }
  }
  std::string_view waiting() const { return {packed.data() + begin, end - begin}; }
  // Continues another's reading.
  void take_over(stream& from) {
    file = std::move(from.file);
    packed = std::move(from.packed);
    begin = from.begin;
    end = from.end;
  }

  virtual std::size_t read(std::span<char> buffer) {
    if (!fill()) return 0;
    const std::size_t count = std::min(buffer.size(), end - begin);
    std::memcpy(buffer.data(), packed.data() + begin, count);
    begin += count;
    return count;
  }
};

namespace {

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1F\x8B"); }

// A frame of data, or one to skip, with which parallel packers begin.
bool is_zstd(std::string_view bytes) {
  return bytes.starts_with("\x28\xB5\x2F\xFD") ||
         (bytes.size() >= 4 && (bytes[0] & 0xF0) == 0x50 && bytes.substr(1, 3) == "\x2A\x4D\x18");
}

struct gzip_stream final : unpacked_file::stream {
  z_stream inflater{};
  bool between = false;  ///< a member has ended

  gzip_stream() {
    constexpr int gzip_window = 15 + 16;
    if (::inflateInit2(&inflater, gzip_window) != Z_OK) throw std::bad_alloc();
  }
  ~gzip_stream() override { ::inflateEnd(&inflater); }

  // Whether another member follows. Tapes and disks pad the last one with zeros.
  bool next_member() {
    while (fill()) {
      if (packed[begin] == '\0') {
        ++begin;
        continue;
      }
      if (packed[begin] != '\x1F') {
        fault = "the gzip stream is damaged: something else follows it";
        return false;
      }
      ::inflateReset(&inflater);
      between = false;
      return true;
    }
    return false;
  }

  std::size_t read(std::span<char> buffer) override {
    inflater.next_out = reinterpret_cast<Bytef*>(buffer.data());
    inflater.avail_out = static_cast<uInt>(buffer.size());
    while (fault.empty() && inflater.avail_out == buffer.size()) {
      if (between && !next_member()) return 0;
      if (!fill()) {
        if (fault.empty()) fault = "the gzip stream is cut off";
        return 0;
      }
      inflater.next_in = reinterpret_cast<Bytef*>(packed.data() + begin);
      inflater.avail_in = static_cast<uInt>(end - begin);
      const int code = ::inflate(&inflater, Z_NO_FLUSH);
      begin = end - inflater.avail_in;
      between = code == Z_STREAM_END;
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        fault = "the gzip stream is damaged: " + std::string(inflater.msg != nullptr ? inflater.msg : ::zError(code));
    }
    return buffer.size() - inflater.avail_out;
  }
};

struct zstd_stream final : unpacked_file::stream {
  ZSTD_DStream* decoder = ::ZSTD_createDStream();
  bool between = true;  ///< no frame is open

  zstd_stream() {
    if (decoder == nullptr) throw std::bad_alloc();
  }
  ~zstd_stream() override { ::ZSTD_freeDStream(decoder); }

  std::size_t read(std::span<char> buffer) override {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    while (fault.empty() && out.pos == 0) {
      const bool more = fill();
      if (!more && (between || !fault.empty())) return 0;
      ZSTD_inBuffer in{packed.data(), end, begin};
      const auto before = begin;
      const std::size_t code = ::ZSTD_decompressStream(decoder, &out, &in);
      begin = in.pos;
      if (::ZSTD_isError(code) != 0) {
        fault = "the zstd stream is damaged: " + std::string(::ZSTD_getErrorName(code));
      } else {
        between = code == 0;
        // Without input the decoder may still hold what it has unpacked.
        if (!more && begin == before && out.pos == 0 && !between) fault = "the zstd stream is cut off";
      }
    }
    return out.pos;
  }
};

}  // namespace

unpacked_file::unpacked_file(const std::filesystem::path& path) : stream_(std::make_unique<stream>()) {
  if (std::filesystem::is_directory(path)) throw file_error(path.string(), "", "is a directory, but a file is needed");
  stream_->file = file_descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!stream_->file.is_open())
    throw file_error(path.string(), "", std::string("cannot be read: ") + std::strerror(errno));
  stream_->fill_beginning();
  std::unique_ptr<stream> other;
  if (is_gzip(stream_->waiting())) other = std::make_unique<gzip_stream>();
  if (is_zstd(stream_->waiting())) other = std::make_unique<zstd_stream>();
  if (other) {
    other->take_over(*stream_);
    stream_ = std::move(other);
  } else {
    std::error_code none;
    stream_->regular = std::filesystem::is_regular_file(path, none);
  }
}
unpacked_file::~unpacked_file() = default;
unpacked_file::unpacked_file(unpacked_file&&) noexcept = default;

std::string_view unpacked_file::beginning() const noexcept { return stream_->waiting(); }
std::size_t unpacked_file::read(std::span<char> buffer) { return stream_->read(buffer); }
const std::string& unpacked_file::fault() const noexcept { return stream_->fault; }
bool unpacked_file::can_reread() const noexcept { return stream_->regular; }

}  // namespace coho::trainer
