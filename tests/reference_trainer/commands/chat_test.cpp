#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>

#include "models/prompter.hpp"
#include "records/records.hpp"
#include "support/catch.hpp"
#include "support/demo_model.hpp"
#include "support/recipe_models.hpp"
#include "support/run_program.hpp"
#include "support/stage_runs.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

#ifdef COHO_EXECUTABLE
/// The program behind a pseudo-terminal: what it would be for a person.
class terminal_program {
 public:
  explicit terminal_program(std::vector<std::string> arguments) {
    master_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(master_ >= 0);
    REQUIRE(::grantpt(master_) == 0);
    REQUIRE(::unlockpt(master_) == 0);
    const std::string name = ::ptsname(master_);
    arguments.insert(arguments.begin(), "coho");
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ != 0) return;
    ::setsid();
    const int terminal = ::open(name.c_str(), O_RDWR);  // the session's first one: its controlling terminal
    for (int stream = 0; stream < 3; ++stream) ::dup2(terminal, stream);
    ::execv(COHO_EXECUTABLE, argv.data());
    ::_exit(127);
  }
  ~terminal_program() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    ::close(master_);
  }
  terminal_program(const terminal_program&) = delete;
  terminal_program& operator=(const terminal_program&) = delete;

  void type(std::string_view text) { REQUIRE(::write(master_, text.data(), text.size()) == std::ssize(text)); }

  /// Reads until `text` has been shown since the last call.
  void expect(const std::string& text) {
    for (;;) {
      if (const auto at = shown_.find(text, seen_); at != std::string::npos) {
        seen_ = at + text.size();
        return;
      }
      if (!more()) FAIL("\"" << text << "\" was not shown; what was: " << shown_);
    }
  }
  const std::string& shown() const { return shown_; }

  int end() {
    while (more()) {
    }
    int state = 0;
    ::waitpid(std::exchange(child_, -1), &state, 0);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  }

 private:
  bool more() {
    pollfd waiting{.fd = master_, .events = POLLIN, .revents = 0};
    char buffer[4096];
    if (::poll(&waiting, 1, 20000) <= 0) return false;
    const auto got = ::read(master_, buffer, sizeof buffer);
    if (got <= 0) return false;
    shown_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int master_ = -1;
  ::pid_t child_ = -1;
  std::string shown_;
  std::size_t seen_ = 0;
};
#endif

}  // namespace

#ifdef COHO_EXECUTABLE
TEST_CASE("chat: in a terminal answers stream, Ctrl-C stops one, commands are obeyed") {
  const temporary_directory folder;
  const std::string saved = (folder / "talk.jsonl").string();
  // So hot that an answer is noise without an end, until it is stopped; beside it 112 positions are left for questions.
  terminal_program coho({"chat", "--model", demo_base().string(), "--format", "vicuna", "--threads", "1",
                         "--max-tokens", "400", "--temperature", "9"});
  // A terminal drops what is on its way to the screen at a Ctrl-C, a prompt perhaps: only what is typed next tells.
  const auto press_ctrl_c = [&] {
    coho.type("\x03");
    coho.type("/help\n");
    coho.expect("/reset forgets the conversation");
    coho.expect("> ");
  };
  const auto ask_and_stop = [&](const std::string& question) {
    coho.type(question + "\n");
    coho.expect(question + "\r\n");
    coho.expect(" ");
    press_ctrl_c();
  };
  coho.expect("Type a question");
  coho.expect("> ");
  ask_and_stop("what is the fox?");
  CHECK(coho.shown().find("Ctrl-D or /exit ends.") == std::string::npos);
  coho.type("half a line");
  press_ctrl_c();
  coho.type("/system be kind.\n");
  coho.expect("the conversation starts again");
  coho.type("/wrong\n");
  coho.expect("no command /wrong");
  coho.expect("> ");
  ask_and_stop("who is it?");
  coho.type("/save " + saved + "\n");
  coho.expect("saved ");
  coho.type("/save /nowhere/at/all.jsonl\n");
  coho.expect("/nowhere/at/all.jsonl: ");
  coho.expect("> ");

  std::string question;
  while (demo_model().tokenizer->encode(question).size() < 60) question += "what is the fox? ";
  question += "why?";
  ask_and_stop(question);
  ask_and_stop(question);
  CHECK(coho.shown().find("has outgrown the model's 512 tokens") != std::string::npos);
  coho.type(question + question + "\n");
  coho.expect("beside the answer's 400 there is room for 112");
  coho.expect("> ");
  coho.type("\x04");
  CHECK(coho.end() == 0);

  const auto messages = nlohmann::json::parse(read_bytes(saved))["messages"];
  REQUIRE(messages.size() == 3);
  CHECK(messages[0]["content"] == "be kind.");
  CHECK(messages[1]["content"] == "who is it?");
  CHECK(messages[2]["role"] == "assistant");
}
#endif
