#include "records/labelled_record.hpp"

#include <nlohmann/json.hpp>

#include "jsonl/record_fields.hpp"

namespace coho::trainer {

json to_json(const labelled_record& record) {
  json out = to_json(record.exchange);
  out["label"] = record.desirable;
  return out;
}

bool from_json(const json& value, const jsonl_reader& at, labelled_record& record) {
  const record_fields fields(value, at);
  if (!fields.has_value("label"))
    fields.fail_unknown_form("labelled response", "{prompt, completion, label} and each form of sft with a label");
  const auto& label = fields["label"];
  if (label.is_boolean()) {
    record.desirable = label.get<bool>();
  } else if (label == json(1) || label == json(0)) {
    record.desirable = label == json(1);
  } else {
    fields.fail_type("label", "true or 1 for a desirable response, false or 0 for an undesirable one");
  }
  return from_json(value, at, record.exchange);
}

}  // namespace coho::trainer
