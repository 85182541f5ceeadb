// PPO for a program that is not written in C++, or keeps its model elsewhere: it hands over numbers, one line a token,
// and gets back the loss and dL/d(log-prob) of each token, which it feeds to its own backward pass. No model, no
// framework here: the library's algorithms take std::vector<double> as they take Eigen arrays and tensors.
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/whiten.hpp>
#include <coho/error.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/reduce.hpp>

// What the other program wrote. Response 1 called a tool: the two tokens with mask 0 are the tool's words, not the
// policy's. Their log-probs were never computed and are NaN, which is fine: what is masked is not read.
constexpr const char* handed_over = R"(response,mask,log_prob,old_log_prob,value,reward
0,1,-1.10,-1.20,0.30,0
0,1,-0.45,-0.50,0.40,0
0,1,-0.05,-0.40,0.60,1
1,1,-2.00,-1.90,0.20,-0.1
1,0,nan,nan,0,0
1,0,nan,nan,0,0
1,1,-0.70,-0.70,0.10,0
1,1,-1.65,-1.30,0.05,-0.5
2,1,-0.90,-1.00,0.50,0.8
)";

struct tokens {
  std::vector<double> mask, log_probs, old_log_probs, values, rewards;
  // Response i is the tokens from offsets[i] up to, but without, offsets[i + 1]: no padding anywhere.
  std::vector<std::size_t> offsets;
};

tokens read(std::istream& in) {
  tokens out;
  std::string line;
  std::getline(in, line);  // the names of the columns
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    std::string cell;
    // std::stod, since operator>> does not read "nan".
    const auto next = [&] {
      return std::getline(cells, cell, ',') ? std::stod(cell) : throw coho::error("a short line");
    };
    const auto response = static_cast<std::size_t>(next());
    while (out.offsets.size() <= response) out.offsets.push_back(out.mask.size());
    for (auto* column : {&out.mask, &out.log_probs, &out.old_log_probs, &out.values, &out.rewards}) {
      column->push_back(next());
    }
  }
  out.offsets.push_back(out.mask.size());
  return out;
}

int main(int count, char** arguments) try {
  std::istringstream embedded(handed_over);
  std::ifstream file(count > 1 ? arguments[1] : "");
  coho::require_argument(count < 2 || file.is_open(), "cannot read the file");
  const tokens t = read(count > 1 ? static_cast<std::istream&>(file) : embedded);

  // The tool's words take no part: gae steps over them as if they were not there, whiten leaves them out of mean and
  // deviation, and their weight in the loss is 0.
  const auto [raw_advantages, returns] = coho::gae(
      {.rewards = t.rewards, .values = t.values, .mask = t.mask, .offsets = t.offsets}, {.gamma = 1, .lambda = 0.95});
  const auto advantages = coho::whiten(raw_advantages, t.mask);
  const auto weights = coho::make_token_weights(t.mask, t.offsets, {.kind = coho::reduction::token_mean});

  const coho::ppo_clip_loss loss{{.clip_low = 0.2, .clip_high = 0.28}};
  const auto result = loss.value_and_grad(
      {.log_probs = t.log_probs, .old_log_probs = t.old_log_probs, .advantages = advantages, .weights = weights});

  std::printf("# loss %.6f, clipped %.3f, KL to the old policy %.6f\n", result.value, result.clip_fraction,
              result.approximate_kl);
  std::printf("advantage,return,d_log_prob\n");  // the value model's targets go back as well
  for (std::size_t i = 0; i < t.mask.size(); ++i) {
    const auto at = static_cast<Eigen::Index>(i);
    std::printf("%.6f,%.6f,%.6f\n", advantages(at), returns(at), result.d_log_probs(at) + 0.0);
  }
} catch (const std::exception& e) {
  // Lengths that differ, a response number that goes back, NaN where a token counts: coho names the argument.
  std::cerr << e.what() << '\n';
  return 1;
}
