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

#include "files/file_descriptor.hpp"

namespace coho::trainer {

namespace {

// An unlinked file, which disappears with the process, however that ends.
file_descriptor create_unlinked_file(const std::filesystem::path& packed) {
  std::string name = (std::filesystem::temp_directory_path() / "coho-records-XXXXXX").string();
  file_descriptor out(::mkostemp(name.data(), O_CLOEXEC));
  if (!out.is_open())
    throw file_error(packed.string(), "", "cannot be unpacked into " + name + ": " + std::string(std::strerror(errno)),
                     "set TMPDIR to a folder with enough space");
  ::unlink(name.c_str());
  return out;
}

}  // namespace

// A file that stays open: its own, or the unlinked one into which it is unpacked.
template <class Record>
struct record_store<Record>::source {
  record_reader<Record> reader;
  bool unpacks;
  file_descriptor file;
  std::uint64_t written = 0;

  source(const std::filesystem::path& path, const column_choice& columns)
      : reader(path, columns),
        unpacks(!reader.reader().can_reread()),
        file(unpacks ? create_unlinked_file(path) : file_descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC))) {
    if (!file.is_open()) throw file_error(path.string(), "", "cannot be read: " + std::string(std::strerror(errno)));
  }

  // Keeps the record that was read last, and returns its offset: in the file itself, or in the unpacked copy.
  std::uint64_t store_last() {
    const auto& at = reader.reader();
    if (!unpacks) return at.offset();
    if (!write_all(file.number(), at.text()))
      throw file_error(at.path().string(), "", "cannot be unpacked: " + std::string(std::strerror(errno)),
                       "set TMPDIR to a folder with enough space for the unpacked text");
    return std::exchange(written, written + at.text().size());
  }

  // The text of a record that was kept.
  std::string read_text(std::uint64_t offset, std::size_t size) const {
    std::string out(size, '\0');
    if (read_at(file.number(), out, offset) != static_cast<std::ptrdiff_t>(size)) fail_changed();
    return out;
  }

  [[noreturn]] void fail_changed() const {
    throw file_error(reader.reader().path().string(), "", "has changed since it was first read",
                     "do not change a file during training; start again");
  }
};

template <class Record>
record_store<Record>::record_store(std::span<const std::filesystem::path> paths, std::size_t limit,
                                   const std::function<void(const Record&, const jsonl_reader&)>& inspect,
                                   const column_choice& columns) {
  for (const auto& path : paths) {
    auto& from = *sources_.emplace_back(std::make_unique<source>(path, columns));
    std::size_t kept = 0;
    for (Record record; (limit == 0 || kept < limit) && from.reader.next(record); ++kept) {
      if (inspect) inspect(record, from.reader.reader());
      places_.push_back({from.store_last(), static_cast<std::uint32_t>(from.reader.reader().text().size()),
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
  const std::string text = from.read_text(where.offset, where.size);
  Record out;
  // It was readable the first time.
  try {
    if (from_json(from.reader.reader().with_columns(json::parse(text)), from.reader.reader(), out)) return out;
  } catch (const json::exception&) {
  } catch (const error&) {
  }
  from.fail_changed();
}

template class record_store<preference_record>;

}  // namespace coho::trainer
