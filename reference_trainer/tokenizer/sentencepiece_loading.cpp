#include "tokenizer/sentencepiece_library.hpp"

#ifdef COHO_SENTENCEPIECE_MODULE
#include <array>
#include <dlfcn.h>
#include <filesystem>

#include <coho/error.hpp>
#endif

extern "C" const coho::trainer::sentencepiece_library* coho_sentencepiece_library();

namespace coho::trainer {

#ifdef COHO_SENTENCEPIECE_MODULE

namespace {

/// Debian's libsentencepiece exports its own protobuf, and its libtorch links another. In one scope the symbols of one
/// are bound to the other and the program aborts before main. Opened with deep, local binding, each keeps its own.
const sentencepiece_library* open_module() {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto here = fs::read_symlink("/proc/self/exe", error).parent_path();
  const fs::path built = COHO_SENTENCEPIECE_MODULE;
  const std::array places{here / built.filename(), here / ".." / "lib" / "coho" / built.filename(), built};
  std::string reason = "is missing";
  for (const auto& place : places) {
    if (!fs::exists(place, error)) continue;
    void* const module = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    void* const entry = module ? dlsym(module, "coho_sentencepiece_library") : nullptr;
    if (entry) return reinterpret_cast<decltype(&coho_sentencepiece_library)>(entry)();
    const char* const said = dlerror();
    reason = std::string("cannot be opened: ") + (said ? said : "no reason given");
  }
  throw file_error(built.string(), "", reason, "build or install coho again; the module belongs next to the program");
}

}  // namespace

const sentencepiece_library& sentencepiece() {
  static const sentencepiece_library* const library = open_module();
  return *library;
}

#else

const sentencepiece_library& sentencepiece() { return *coho_sentencepiece_library(); }

#endif

}  // namespace coho::trainer
