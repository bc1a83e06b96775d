// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/job_options.h"

#include <limits>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "kernels/weight_format.h"
#include "launcher/job/memory_amount.h"
#include "runtime/request/request_fields.h"

namespace sdar {
namespace {

absl::Status AtLeast(absl::string_view flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected ", low, " .. ", high, ", got ", value));
}

absl::Status OneOf(absl::string_view flag, const std::string& value,
                   std::initializer_list<absl::string_view> allowed) {
  std::string names;
  for (absl::string_view name : allowed) {
    if (value == name) return absl::OkStatus();
    absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected one of ", names, ", got '", value, "'"));
}

}  // namespace

absl::Status JobOptions::Validate() const {
  if (model.empty()) {
    return absl::InvalidArgumentError("--model is required (--help lists the flags)");
  }
  SDAR_RETURN_IF_ERROR(OneOf("device", device, {"auto", "cpu", "cuda"}));
  SDAR_RETURN_IF_ERROR(OneOf("cuda-graphs", cuda_graphs, {"on", "off"}));
  SDAR_RETURN_IF_ERROR(OneOf("dtype", dtype, {"bfloat16", "float32"}));
  SDAR_ASSIGN_OR_RETURN(const WeightFormat format, ParseWeightFormat(weights));
  if (format == WeightFormat::kInt8 && device == "cuda") {
    return absl::InvalidArgumentError("--weights=int8: only the CPU backend has them");
  }
  SDAR_RETURN_IF_ERROR(OneOf("moe-exchange", moe_exchange, {"auto", "allreduce", "alltoall"}));
  SDAR_RETURN_IF_ERROR(OneOf("generation-config", generation_config, {"auto", "none"}));
  SDAR_RETURN_IF_ERROR(OneOf("log-level", log_level, {"debug", "info", "warning", "error"}));
  SDAR_RETURN_IF_ERROR(OneOf("log-format", log_format, {"text", "json"}));
  SDAR_ASSIGN_OR_RETURN(const DraftCount draft_count, ParseDrafts(drafts));
  SDAR_RETURN_IF_ERROR(AtLeast("drafts", draft_count.value, kAutomaticDrafts, kMaxDrafts));
  SDAR_RETURN_IF_ERROR(AtLeast("threads", threads, 0, 1024));
  SDAR_RETURN_IF_ERROR(AtLeast("tensor-parallel", tensor_parallel, 0, 65536));
  SDAR_RETURN_IF_ERROR(AtLeast("max-sequences", max_sequences, 1, 4096));
  SDAR_RETURN_IF_ERROR(AtLeast("max-batch-rows", max_batch_rows, 8, 65536));
  SDAR_RETURN_IF_ERROR(AtLeast("max-prefill-rows", max_prefill_rows, 1, 65536));
  if (!(prefill_share >= 0.01 && prefill_share <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--prefill-share: expected 0.01 .. 1, got ", prefill_share));
  }
  SDAR_RETURN_IF_ERROR(AtLeast("max-sequence-length", max_sequence_length, 0, int64_t{1} << 30));
  SDAR_RETURN_IF_ERROR(AtLeast("page-size", page_size, 1, 4096));
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  SDAR_RETURN_IF_ERROR(AtLeast("max-waiting", max_waiting, 0, kAny));
  SDAR_RETURN_IF_ERROR(AtLeast("max-waiting-tokens", max_waiting_tokens, 0, kAny));
  SDAR_RETURN_IF_ERROR(ParseMemoryAmount("kv-memory", kv_memory).status());
  SDAR_RETURN_IF_ERROR(AtLeast("block-length", block_length, 0, 1024));
  return AtLeast("step-timeout", step_timeout_s, 1, 86400);
}

std::string JobOptions::Arithmetic() const {
  return weights == "dtype" ? dtype : absl::StrCat(dtype, ", ", weights, " weights");
}

namespace {

void AddModelFlags(JobOptions& o, FlagSpec& spec) {
  spec.Group("Model")(
      "model", TextFlag(&o.model, "DIR|NAME"),
      "model folder in the Hugging Face layout, or ORGANISATION/MODEL in the local Hugging Face "
      "cache (required); --model= may be left out");
  spec.Group("Decoding defaults")(
      "generation-config", Flag(&o.generation_config, "auto|none"),
      "auto: sampling defaults from generation_config.json; none: greedy")(
      "block-length", Flag(&o.block_length),
      "block length of requests that name none; 0: what the model says")(
      "drafts", Flag(&o.drafts, "auto|off|N"),
      "guessed later states of a block that a step evaluates with the true one, to save passes; "
      "the answers are the same: auto (as many as make it faster), off, or at most this many per "
      "sequence");
}

void AddDeviceFlags(JobOptions& o, FlagSpec& spec) {
  spec.Group("Device and arithmetic")(
      "device", Flag(&o.device, "auto|cpu|cuda"),
      "auto (GPUs where every rank has one to itself), cpu or cuda")(
      "cuda-graphs", Flag(&o.cuda_graphs, "on|off"),
      "on a GPU: on: steps are captured as CUDA graphs; off: kernels are launched one by one")(
      "dtype", Flag(&o.dtype, "bfloat16|float32"), "arithmetic and K/V: bfloat16 or float32")(
      "weights", Flag(&o.weights, "dtype|int8"),
      "dtype: as --dtype; int8: half as large, results differ a little (CPU only)")(
      "instruction-set", Flag(&o.instruction_set, "auto|portable|avx2|avx512|avx512_bf16|amx"),
      "auto: of those that all ranks have the fastest, as measured at start")(
      "threads", Flag(&o.threads), "threads per rank; 0: the rank's share of the cores")(
      "tensor-parallel", Flag(&o.tensor_parallel),
      "ranks that hold the model together; divides the ranks of the job, whose groups are "
      "replicas; 0: all")("moe-exchange", Flag(&o.moe_exchange, "auto|allreduce|alltoall"),
                          "how tokens meet experts on other ranks: auto, allreduce or alltoall");
}

void AddBatchFlags(JobOptions& o, FlagSpec& spec) {
  spec.Group("Memory and batching")(
      "kv-memory", Flag(&o.kv_memory, "AMOUNT"),
      "K/V memory at most: per rank as 1GiB, 512MiB or bytes, or as 0.5 of what is free on a host, "
      "for all its ranks")("page-size", Flag(&o.page_size),
                           "positions of a K/V page; block lengths divide it")(
      "prefix-cache", SwitchFlag(&o.prefix_cache),
      "share the K/V pages of equal beginnings of sequences")(
      "max-sequences", Flag(&o.max_sequences), "sequences that run at the same time")(
      "max-sequence-length", Flag(&o.max_sequence_length),
      "tokens of prompt and output at most; 0: what the model was made for")(
      "max-batch-rows", Flag(&o.max_batch_rows), "rows (positions) of one step at most")(
      "max-prefill-rows", Flag(&o.max_prefill_rows),
      "rows of prompts in a step in which other sequences decode")(
      "prefill-share", Flag(&o.prefill_share, "PART"),
      "part of such a step's time that prompts may take: with 0.5 it takes twice its time; 1: no "
      "bound")("fuse-commit", SwitchFlag(&o.fuse_commit),
               "commit a finished block in the pass of the next block's first step");
}

void AddWatchFlags(JobOptions& o, FlagSpec& spec) {
  spec.Group("Time limits")("step-timeout", Flag(&o.step_timeout_s, "SECONDS"),
                            "seconds after which a step counts as stuck");
  spec.Group("Logs and records")("log-level", Flag(&o.log_level, "debug|info|warning|error"),
                                 "debug, info, warning or error")(
      "log-format", Flag(&o.log_format, "text|json"), "text, or json: one object a line")(
      "record-plans", TextFlag(&o.record_plans, "FILE"),
      "file to record every step's plan and logit summaries in");
}

}  // namespace

void AddJobFlags(JobOptions& o, FlagSpec& spec) {
  AddModelFlags(o, spec);
  AddDeviceFlags(o, spec);
  AddBatchFlags(o, spec);
  AddWatchFlags(o, spec);
  spec.man.exit_codes.push_back({"128 + N", "Signal N ended it while the model still loaded."});
  spec.man.files = {
      {"DIR/config.json", "The model's shape and kind. It must be there."},
      {"DIR/model.safetensors", "The weights; or model.safetensors.index.json and its shards."},
      {"DIR/tokenizer.json", "The tokenizer, or its files of other names."},
      {"DIR/generation_config.json", "End tokens and sampling defaults. It may be absent."},
      {"DIR/chat_template.jinja", "The template of chats; may be in tokenizer_config.json."}};
}

}  // namespace sdar
