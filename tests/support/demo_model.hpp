#pragma once

#include "models/model_files.hpp"
#include "support/stage_runs.hpp"

namespace coho::test {

/// The demo's base model, loaded once.
inline const trainer::loaded_model& demo_model() {
  static const trainer::loaded_model loaded = trainer::load_model(demo_base());
  return loaded;
}

}  // namespace coho::test
