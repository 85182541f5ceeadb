#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace coho::trainer {

/// Everything that this program uses of the sentencepiece library, and the only access to it: where the library cannot
/// be linked together with libtorch, this interface is a module that is opened at run time (sentencepiece_loading.cpp).
/// Errors are the library's messages, empty for success.
class sentencepiece_library {
 public:
  /// A model that has been loaded.
  class processor {
   public:
    virtual ~processor() = default;
    /// Appends the ids of a text.
    virtual std::string encode(std::string_view text, std::vector<int>& ids) const = 0;
    /// The id of a piece, or of the unknown piece.
    virtual int piece_to_id(std::string_view piece) const = 0;
    /// The number of pieces.
    virtual int size() const = 0;
  };

  virtual ~sentencepiece_library() = default;
  /// Null, with `error` set, for bytes that the library rejects.
  virtual std::unique_ptr<processor> load(std::string_view bytes, std::string& error) const = 0;
  /// Trains on one text per line; `arguments` are the library's own. `model`: the bytes of the tokenizer.model.
  virtual std::string train(const std::unordered_map<std::string, std::string>& arguments,
                            std::span<const std::string> lines, std::string& model) const = 0;
};

/// The only instance. Throws `file_error` naming the module if it is a module that cannot be opened.
const sentencepiece_library& sentencepiece();

}  // namespace coho::trainer
