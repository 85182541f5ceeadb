#include "tokenizer/sentencepiece_library.hpp"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

namespace coho::trainer {
namespace {

// The library reads its text from an iterator; this one copies nothing.
class training_text_iterator : public sentencepiece::SentenceIterator {
 public:
  explicit training_text_iterator(std::span<const std::string> lines) : lines_(lines) {}
  bool done() const override { return lines_.empty(); }
  void Next() override { lines_ = lines_.subspan(1); }
  const std::string& value() const override { return lines_.front(); }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::span<const std::string> lines_;
};

// Empty for success.
std::string error_text(const sentencepiece::util::Status& status) {
  return status.ok() ? std::string() : status.error_message();
}

// The library as this program is linked to it.
class linked_sentencepiece_library final : public sentencepiece_library {
  struct linked_processor final : processor {
    sentencepiece::SentencePieceProcessor library;

    std::string encode(std::string_view text, std::vector<int>& ids) const override {
      return error_text(library.Encode(text, &ids));
    }
    int piece_to_id(std::string_view piece) const override { return library.PieceToId(piece); }
    int size() const override { return library.GetPieceSize(); }
  };

 public:
  std::unique_ptr<processor> load(std::string_view bytes, std::string& error) const override {
    auto loaded = std::make_unique<linked_processor>();
    error = error_text(loaded->library.LoadFromSerializedProto(bytes));
    if (!error.empty()) return nullptr;
    return loaded;
  }

  std::string train(const std::unordered_map<std::string, std::string>& arguments, std::span<const std::string> lines,
                    std::string& model) const override {
    training_text_iterator iterator(lines);
    return error_text(sentencepiece::SentencePieceTrainer::Train(arguments, &iterator, &model));
  }
};

}  // namespace
}  // namespace coho::trainer

extern "C" const coho::trainer::sentencepiece_library* coho_sentencepiece_library() {
  static const coho::trainer::linked_sentencepiece_library library;
  return &library;
}
