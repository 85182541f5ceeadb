// coho's side of tests/interop/tokens.py: reads texts, one JSON string per line, from the standard input.
//
//     coho_tokens TOKENIZER          prints an object per text: "marked" and "plain", the ids with and without special
//                                    tokens; "text", decoded from "marked"; "streamed", from "plain" token by token
//     coho_tokens TOKENIZER rounds   prints the processor's seconds of the fastest of so many rounds over all texts
#include <algorithm>
#include <ctime>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "text/text_stream.hpp"
#include "tokenizer/json_tokenizer.hpp"
#include "tokenizer_json/token_pipeline.hpp"

namespace {

using namespace coho::trainer;
using nlohmann::json;

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::string streamed(const json_tokenizer& tokenizer, const std::vector<coho::token>& tokens) {
  text_stream shown({});
  std::string out;
  for (const auto id : tokens) out += shown.add(tokenizer.token_bytes(id));
  return out + shown.finish();
}

double time(const token_pipeline& pipeline, const std::vector<std::string>& texts, int rounds) {
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    const double begin = processor_seconds();
    for (const auto& text : texts) pipeline.encode(text, token_text::marked);
    best = std::min(best, processor_seconds() - begin);
  }
  return best;
}

void run(const std::string& path, int rounds) {
  std::vector<std::string> texts;
  for (std::string line; std::getline(std::cin, line);) texts.push_back(json::parse(line).get<std::string>());
  const auto pipeline = token_pipeline::from_file(path);
  if (rounds > 0) {
    std::cout << time(pipeline, texts, rounds) << '\n';
    return;
  }
  const auto tokenizer = json_tokenizer::from_file(path);
  for (const auto& text : texts) {
    const auto marked = pipeline.encode(text, token_text::marked), plain = tokenizer.encode(text);
    std::cout << json{{"marked", marked},
                      {"plain", plain},
                      {"text", pipeline.decode(marked)},
                      {"streamed", streamed(tokenizer, plain)}}
              << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: coho_tokens TOKENIZER [ROUNDS] < TEXTS\n";
    return 2;
  }
  try {
    run(argv[1], argc > 2 ? std::stoi(argv[2]) : 0);
  } catch (const std::exception& error) {
    std::cerr << "coho_tokens: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
