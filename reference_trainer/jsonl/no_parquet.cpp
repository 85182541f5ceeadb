// In the place of parquet_rows.cpp where Arrow's library was not found.

#include <coho/error.hpp>

#include "jsonl/parquet_rows.hpp"

namespace coho::trainer {

bool reads_parquet() { return false; }

std::unique_ptr<value_source> open_parquet_rows(const std::filesystem::path& path, const jsonl_options&,
                                                const column_choice&) {
  throw file_error(path.string(), "", "is a Parquet file, and this coho was built without Arrow, which reads them",
                   "install it (`build/venv/bin/pip install pyarrow`) and run `make build`, or export JSON Lines");
}

}  // namespace coho::trainer
