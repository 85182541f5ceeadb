#include "tokenizer/sentencepiece_library.hpp"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

namespace coho::trainer {
namespace {

class line_iterator : public sentencepiece::SentenceIterator {
 public:
  explicit line_iterator(std::span<const std::string> lines) : lines_(lines) {}
  bool done() const override { return lines_.empty(); }
  void Next() override { lines_ = lines_.subspan(1); }
  const std::string& value() const override { return lines_.front(); }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::span<const std::string> lines_;
};

std::string words_of(const sentencepiece::util::Status& status) {
  return status.ok() ? std::string() : status.error_message();
}

class linked_library final : public sentencepiece_library {
  struct linked_processor final : processor {
    sentencepiece::SentencePieceProcessor library;

    std::string encode(std::string_view text, std::vector<int>& ids) const override {
      return words_of(library.Encode(text, &ids));
    }
    int id_of(std::string_view piece) const override { return library.PieceToId(piece); }
    int size() const override { return library.GetPieceSize(); }
  };

 public:
  std::unique_ptr<processor> load(std::string_view bytes, std::string& error) const override {
    auto loaded = std::make_unique<linked_processor>();
    error = words_of(loaded->library.LoadFromSerializedProto(bytes));
    if (!error.empty()) return nullptr;
    return loaded;
  }

  std::string train(const std::unordered_map<std::string, std::string>& arguments, std::span<const std::string> lines,
                    std::string& model) const override {
    line_iterator iterator(lines);
    return words_of(sentencepiece::SentencePieceTrainer::Train(arguments, &iterator, &model));
  }
};

}  // namespace
}  // namespace coho::trainer

extern "C" const coho::trainer::sentencepiece_library* coho_sentencepiece_library() {
  static const coho::trainer::linked_library library;
  return &library;
}
