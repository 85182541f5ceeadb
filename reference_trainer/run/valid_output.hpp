#pragma once

#include <array>
#include <cstddef>
#include <ostream>
#include <streambuf>
#include <string_view>

namespace coho::trainer {

/// Makes what goes to a text stream UTF-8, for any input: file names, model text, messages that
/// quote half a character. Invalid bytes become U+FFFD; the first bytes of a character wait for
/// the rest, even across a flush, until `finish`. While it exists it sits between the stream and its
/// buffer.
///
///     valid_output out(std::cout);
///     std::cout << "caf\xC3" << std::flush << "\xA9\xFF";  // café�
class valid_output : public std::streambuf {
 public:
  explicit valid_output(std::ostream& stream);
  ~valid_output() override;
  valid_output(const valid_output&) = delete;
  valid_output& operator=(const valid_output&) = delete;

  /// Writes what was held back, as U+FFFD, and flushes.
  void finish();

 protected:
  int_type overflow(int_type c) override;
  std::streamsize xsputn(const char* bytes, std::streamsize count) override;
  int sync() override;

 private:
  /// Writes bytes as UTF-8, with those that were held back before them; holds back the beginning of a character.
  bool write_valid(std::string_view bytes);
  /// Writes bytes to the stream's own buffer. Whether it took them all.
  bool write(std::string_view bytes);

  std::ostream& stream_;
  std::streambuf* target_;
  std::array<char, 4> incomplete_{};  ///< of a character whose other bytes are still missing
  std::size_t incomplete_size_ = 0;
};

}  // namespace coho::trainer
