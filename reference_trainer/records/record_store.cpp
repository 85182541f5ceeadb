#include "records/record_store.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

namespace coho::trainer {

// Not in the anonymous namespace: a member of a template instantiated elsewhere has this type.
namespace record_store_files {

class descriptor {
 public:
  explicit descriptor(int number) : number_(number) {}
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  int number() const { return number_; }

 private:
  int number_;
};

}  // namespace record_store_files

namespace {

using record_store_files::descriptor;

// An unlinked file, which disappears with the process, however that ends.
descriptor nameless_file(const std::filesystem::path& packed) {
  std::string name = (std::filesystem::temp_directory_path() / "coho-records-XXXXXX").string();
  descriptor out(::mkostemp(name.data(), O_CLOEXEC));
  if (out.number() < 0)
    throw file_error(packed.string(), "", "cannot be unpacked into " + name + ": " + std::string(std::strerror(errno)),
                     "set TMPDIR to a folder with enough space");
  ::unlink(name.c_str());
  return out;
}

void append(int file, std::string_view text, const std::filesystem::path& packed) {
  while (!text.empty()) {
    const auto written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      throw file_error(packed.string(), "", "cannot be unpacked: " + std::string(std::strerror(errno)),
                       "set TMPDIR to a folder with enough space for the unpacked text");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

template <class Record>
struct record_store<Record>::source {
  record_reader<Record> reader;
  bool spooled;
  record_store_files::descriptor file;
  std::uint64_t written = 0;

  explicit source(const std::filesystem::path& path)
      : reader(path),
        spooled(!reader.reader().seekable()),
        file(spooled ? nameless_file(path) : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC))) {
    if (file.number() < 0) throw file_error(path.string(), "", "cannot be read: " + std::string(std::strerror(errno)));
  }

  // The offset of the record that was read last.
  std::uint64_t keep_place() {
    const auto& at = reader.reader();
    if (!spooled) return at.offset();
    append(file.number(), at.text(), at.path());
    return std::exchange(written, written + at.text().size());
  }

  std::string text_at(std::uint64_t offset, std::size_t size) const {
    std::string out(size, '\0');
    for (std::size_t done = 0; done < size;) {
      const auto got = ::pread(file.number(), out.data() + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) changed();
      done += static_cast<std::size_t>(got);
    }
    return out;
  }

  [[noreturn]] void changed() const {
    throw file_error(reader.reader().path().string(), "", "has changed since it was first read",
                     "do not change a file during training; start again");
  }
};

template <class Record>
record_store<Record>::record_store(std::span<const std::filesystem::path> paths, std::size_t limit,
                                   const std::function<void(const Record&, const jsonl_reader&)>& look) {
  for (const auto& path : paths) {
    auto& from = *sources_.emplace_back(std::make_unique<source>(path));
    std::size_t kept = 0;
    for (Record record; (limit == 0 || kept < limit) && from.reader.next(record); ++kept) {
      if (look) look(record, from.reader.reader());
      places_.push_back({from.keep_place(), static_cast<std::uint32_t>(from.reader.reader().text().size()),
                         static_cast<std::uint32_t>(sources_.size() - 1)});
    }
    counts_.push_back({path, kept, from.reader.left_out()});
  }
  places_.shrink_to_fit();
}

template <class Record>
record_store<Record>::~record_store() = default;

template <class Record>
Record record_store<Record>::operator[](std::size_t i) const {
  const place& where = places_.at(i);
  const source& from = *sources_[where.source];
  const std::string text = from.text_at(where.offset, where.size);
  Record out;
  // It was readable the first time.
  try {
    if (from_json(json::parse(text), from.reader.reader(), out)) return out;
  } catch (const json::exception&) {
  } catch (const error&) {
  }
  from.changed();
}

template class record_store<preference_record>;

}  // namespace coho::trainer
