#include "run/valid_output.hpp"

#include <algorithm>
#include <string>

#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

// How many bytes at the end of `text`, at most three, may be the beginning of a character.
std::size_t incomplete_tail(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0u) == 0x80u) continue;
    const std::size_t length = byte >= 0xF5 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

}  // namespace

valid_output::valid_output(std::ostream& stream) : stream_(stream), target_(stream.rdbuf()) {
  const auto state = stream_.rdstate();
  stream_.rdbuf(this);
  stream_.setstate(state);
}

valid_output::~valid_output() {
  finish();
  stream_.rdbuf(target_);
}

void valid_output::finish() {
  const std::string rest = repair_utf8({incomplete_.data(), incomplete_size_});
  incomplete_size_ = 0;
  write(rest);
  target_->pubsync();
}

bool valid_output::write(std::string_view bytes) {
  const auto count = static_cast<std::streamsize>(bytes.size());
  return count == 0 || target_->sputn(bytes.data(), count) == count;
}

bool valid_output::write_valid(std::string_view bytes) {
  std::string joined;
  if (incomplete_size_ > 0) {
    joined.assign(incomplete_.data(), incomplete_size_).append(bytes);
    bytes = joined;
  }
  incomplete_size_ = incomplete_tail(bytes);
  const auto whole = bytes.substr(0, bytes.size() - incomplete_size_);
  bytes.copy(incomplete_.data(), incomplete_size_, whole.size());
  return is_utf8(whole) ? write(whole) : write(repair_utf8(whole));
}

valid_output::int_type valid_output::overflow(int_type c) {
  if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
  const char byte = traits_type::to_char_type(c);
  return write_valid({&byte, 1}) ? c : traits_type::eof();
}

std::streamsize valid_output::xsputn(const char* bytes, std::streamsize count) {
  return write_valid({bytes, static_cast<std::size_t>(count)}) ? count : 0;
}

int valid_output::sync() { return target_->pubsync(); }

}  // namespace coho::trainer
