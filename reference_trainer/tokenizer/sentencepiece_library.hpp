#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace coho::trainer {

/// All that this program asks of the sentencepiece library, and the only way to it: where the library cannot be linked
/// beside libtorch, this interface is a module that is opened at run time (sentencepiece_loading.cpp). Errors are the
/// library's own words, empty for success.
class sentencepiece_library {
 public:
  class processor {
   public:
    virtual ~processor() = default;
    virtual std::string encode(std::string_view text, std::vector<int>& ids) const = 0;
    virtual int id_of(std::string_view piece) const = 0;
    virtual int size() const = 0;
  };

  virtual ~sentencepiece_library() = default;
  /// Null, with `error` set, for bytes that the library refuses.
  virtual std::unique_ptr<processor> load(std::string_view bytes, std::string& error) const = 0;
  virtual std::string train(const std::unordered_map<std::string, std::string>& arguments,
                            std::span<const std::string> lines, std::string& model) const = 0;
};

/// The one instance. Throws `file_error` naming the module where it is one and cannot be opened.
const sentencepiece_library& sentencepiece();

}  // namespace coho::trainer
