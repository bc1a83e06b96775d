// SPDX-License-Identifier: Apache-2.0
// sdar-checkpoint: looks at, checks and makes model folders.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include <unistd.h>

#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/generation_config.h"
#include "runtime/checkpoint/model_location.h"
#include "runtime/checkpoint/shard_plan.h"
#include "runtime/checkpoint/synthetic.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-checkpoint";
std::atomic<bool> interrupted = false;

void Interrupt(int) { interrupted.store(true); }

// Draws "label NN %" on a terminal, in place; nothing elsewhere.
Progress TerminalProgress(const char* label) {
  if (isatty(STDERR_FILENO) == 0) return Progress();
  return [label, shown = -1](double fraction) mutable {
    const int percent = static_cast<int>(fraction * 100.0);
    if (percent == shown) return;
    shown = percent;
    std::fprintf(stderr, "\r%s %d %%%s", label, percent, percent >= 100 ? "\n" : "");
  };
}

std::string Bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 1e9) return absl::StrFormat("%.2f GB", value / 1e9);
  if (value >= 1e6) return absl::StrFormat("%.2f MB", value / 1e6);
  return absl::StrFormat("%d bytes", bytes);
}

std::string Parameters(int64_t count) {
  const auto value = static_cast<double>(count);
  return value >= 1e9 ? absl::StrFormat("%.2f billion", value / 1e9)
                      : absl::StrFormat("%.2f million", value / 1e6);
}

std::string OrDash(const std::vector<TokenId>& ids) {
  return ids.empty() ? "none" : absl::StrJoin(ids, ", ");
}

void Line(const char* label, const std::string& value) {
  std::cout << absl::StrFormat("%-18s %s\n", label, value);
}

void PrintShape(const ModelConfig& config) {
  Line("model type", std::string(Name(config.model_type)));
  Line("parameters", config.model_type == ModelType::kMoe
                         ? absl::StrCat(Parameters(config.NumParameters()), ", ",
                                        Parameters(config.NumActiveParameters()), " per token")
                         : Parameters(config.NumParameters()));
  Line("hidden size", absl::StrCat(config.hidden_size));
  Line("layers", config.model_type == ModelType::kMoe
                     ? absl::StrCat(config.num_layers, ", ", config.NumSparseLayers(),
                                    " of them with experts")
                     : absl::StrCat(config.num_layers));
  Line("attention", absl::StrCat(config.num_heads, " heads, ", config.num_kv_heads, " K/V heads, ",
                                 config.head_dim, " wide"));
  Line("MLP columns", absl::StrCat(config.intermediate_size));
  if (config.model_type == ModelType::kMoe) {
    Line("experts", absl::StrCat(config.num_experts, ", ", config.num_experts_per_token,
                                 " per token, ", config.moe_intermediate_size, " columns"));
  }
  Line("vocabulary",
       absl::StrCat(config.vocab_size, config.IsTied() ? ", embeddings tied to the output" : ""));
  Line("longest sequence", absl::StrCat(config.LongestSequence(), " positions"));
}

void PrintDefaults(const ModelConfig& config, const GenerationDefaults& defaults,
                   const std::string& name) {
  const BlockLength block = ResolveBlockLength({}, {}, config, name);
  Line("block length", absl::StrCat(block.value, ", from ", Name(block.source)));
  Line("mask token", config.mask_token_id ? absl::StrCat(*config.mask_token_id)
                                          : "not in config.json; the tokenizer says");
  Line("end tokens", OrDash(defaults.eos_token_ids));
  std::string sampling = "greedy";
  if (defaults.do_sample) {
    sampling = "sampled";
    if (defaults.temperature) absl::StrAppend(&sampling, ", temperature ", *defaults.temperature);
    if (defaults.top_k) absl::StrAppend(&sampling, ", top_k ", *defaults.top_k);
    if (defaults.top_p) absl::StrAppend(&sampling, ", top_p ", *defaults.top_p);
  }
  Line("sampling", sampling);
}

// The largest rank's memory for every rank count that works.
void PrintRanks(const ModelConfig& config) {
  std::cout << "\nRank counts that work, and the memory of the largest rank in bfloat16:\n"
            << "  ranks       weights   K/V per token\n";
  for (int ranks : WorkingRankCounts(config)) {
    // Uneven parts are longer first, so rank 0 holds the most.
    const ShardPlan shard = PlanShard(config, ranks, 0);
    std::cout << absl::StrFormat("  %5d  %12s  %8d bytes\n", ranks,
                                 Bytes(WeightBytes(config, shard, DType::kBFloat16)),
                                 KvBytesPerToken(config, shard, DType::kBFloat16));
  }
}

absl::Status RunInspect(const std::string& model) {
  SDAR_ASSIGN_OR_RETURN(const ModelLocation location, LocateModel(model));
  SDAR_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(location.folder));
  const ModelConfig& config = checkpoint.config();
  SDAR_ASSIGN_OR_RETURN(const GenerationDefaults defaults,
                        LoadGenerationConfig(location.folder, config));
  Line("name", location.name);
  Line("folder", location.folder);
  Line("files", absl::StrCat(checkpoint.NumFiles(), ", ",
                             Bytes(static_cast<int64_t>(checkpoint.TotalBytes())), " of weights"));
  PrintShape(config);
  PrintDefaults(config, defaults, location.name);
  PrintRanks(config);
  return absl::OkStatus();
}

// What is wrong with the files that serving needs besides weights, where they are there: a model
// may come without a tokenizer, to be scored by ids.
absl::Status VerifyText(const std::string& folder) {
  const absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Load(folder);
  if (absl::IsNotFound(tokenizer.status())) {
    std::cout << folder << ": no tokenizer; only sdar-score can use this model\n";
    return absl::OkStatus();
  }
  SDAR_RETURN_IF_ERROR(tokenizer.status());
  const absl::StatusOr<ChatTemplate> chat = LoadChatTemplate(folder);
  if (absl::IsNotFound(chat.status())) {
    std::cout << std::string(chat.status().message()) << "\n";
    return absl::OkStatus();
  }
  return chat.status();
}

absl::Status RunVerify(const std::string& model) {
  SDAR_ASSIGN_OR_RETURN(const ModelLocation location, LocateModel(model));
  const std::string& folder = location.folder;
  const std::vector<absl::Status> problems =
      VerifyCheckpoint(folder, TerminalProgress("reading headers"));
  for (const absl::Status& problem : problems) {
    std::cout << std::string(problem.message()) << "\n";
  }
  if (!problems.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder, ": ", problems.size(), problems.size() == 1 ? " problem" : " problems"));
  }
  SDAR_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(folder));
  SDAR_ASSIGN_OR_RETURN(const GenerationDefaults defaults,
                        LoadGenerationConfig(folder, checkpoint.config()));
  SDAR_RETURN_IF_ERROR(VerifyText(folder));
  for (const auto* list : {&checkpoint.ignored(), &defaults.ignored}) {
    for (const std::string& ignored : *list) std::cout << "no effect: " << ignored << "\n";
  }
  std::cout << absl::StrFormat("%s: all tensors are as config.json says (index hash %016x)\n",
                               folder, checkpoint.IndexHash());
  return absl::OkStatus();
}

struct SynthesizeFlags {
  std::string shape;
  int layers = 0;
  uint64_t seed = 0;
};

absl::Status RunSynthesize(const std::string& folder, const SynthesizeFlags& flags) {
  if (flags.shape.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--shape is required: ", absl::StrJoin(SyntheticShapeNames(), ", "),
                     " or the path of a config.json"));
  }
  SDAR_ASSIGN_OR_RETURN(ModelConfig config, SyntheticConfig(flags.shape));
  if (flags.layers != 0) config.num_layers = flags.layers;
  SDAR_RETURN_IF_ERROR(config.Validate());
  SynthesizeOptions options;
  options.seed = flags.seed;
  options.progress = TerminalProgress("writing weights");
  options.stop = &interrupted;
  std::signal(SIGINT, Interrupt);
  std::signal(SIGTERM, Interrupt);
  SDAR_RETURN_IF_ERROR(SynthesizeCheckpoint(config, folder, options));
  std::cout << folder << ": " << Parameters(config.NumParameters())
            << " random parameters written; there are no tokenizer files\n";
  return absl::OkStatus();
}

absl::Status UnknownCommand(const std::string& command) {
  return absl::InvalidArgumentError(
      absl::StrCat(command.empty() ? "" : absl::StrCat("command '", command, "': "), "expected ",
                   command.empty() ? "a command: " : "",
                   "inspect, verify or synthesize (--help explains them)"));
}

struct CommandFlags {
  std::vector<std::string> folders;
  SynthesizeFlags synthesize;
};

void AddSynthesizeFlags(SynthesizeFlags& flags, const std::string& group, FlagSpec& spec) {
  spec.Group(group)("shape", TextFlag(&flags.shape, "1.7b|4b|8b|30b-a3b|FILE"),
                    "1.7b, 4b, 8b, 30b-a3b or the path of a config.json")(
      "layers", Flag(&flags.layers), "number of layers; 0: as the shape says")(
      "seed", Flag(&flags.seed), "weights are a function of the seed and their place");
}

FlagSpec MakeFlags(const char* usage, const char* purpose, CommandFlags& flags) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose = purpose;
  spec.usage = absl::StrCat(kProgram, " ", usage, " [flags] DIR");
  spec.positional = "dir";
  spec.Group("Flags")(
      "dir", boost::program_options::value(&flags.folders)->value_name("DIR|NAME"),
      "the model folder, or a name in the Hugging Face cache; --dir= may be left out");
  return spec;
}

// What the program prints of itself: all commands and their flags.
absl::Status RunWithoutCommand(int argc, char** argv) {
  CommandFlags flags;
  FlagSpec spec = MakeFlags("COMMAND", "Looks at, checks and makes model folders.", flags);
  spec.commands = {
      {"inspect DIR",
       "what the model is, what generating with it defaults to, and its memory per rank"},
      {"verify DIR",
       "checks every tensor's name, shape, dtype, bounds and overlap, the tokenizer and the chat "
       "template; lists all problems, and what would be ignored"},
      {"synthesize DIR", "writes a checkpoint with random weights"}};
  AddSynthesizeFlags(flags.synthesize, "Flags of synthesize", spec);
  spec.man.summary = "looks at, checks and makes model folders";
  spec.man.see_also = "sdar-serve(1), sdar-generate(1), sdar-tokenize(1)";
  SDAR_ASSIGN_OR_RETURN(const FlagOutcome outcome, ParseFlags(spec, argc, argv));
  return outcome == FlagOutcome::kPrinted ? absl::OkStatus() : UnknownCommand(argv[1]);
}

// Parses the flags of `command` and runs it.
absl::Status RunCommand(const std::string& command, int argc, char** argv) {
  CommandFlags flags;
  FlagSpec spec;
  if (command == "inspect") {
    spec = MakeFlags("inspect", "Prints what a model is and its memory per rank.", flags);
  } else if (command == "verify") {
    spec = MakeFlags(
        "verify", "Checks a model's files; lists all problems, and what would be ignored.", flags);
  } else if (command == "synthesize") {
    spec = MakeFlags("synthesize",
                     "Writes a checkpoint with random bfloat16 weights and no tokenizer.", flags);
    AddSynthesizeFlags(flags.synthesize, "Flags", spec);
  } else {
    return UnknownCommand(command);
  }
  SDAR_ASSIGN_OR_RETURN(const FlagOutcome outcome, ParseFlags(spec, argc, argv));
  if (outcome == FlagOutcome::kPrinted) return absl::OkStatus();
  if (flags.folders.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(command, ": expected one folder, got ", flags.folders.size()));
  }
  const std::string& folder = flags.folders[0];
  if (command == "synthesize") return RunSynthesize(folder, flags.synthesize);
  return command == "inspect" ? RunInspect(folder) : RunVerify(folder);
}

int Main(int argc, char** argv) {
  std::string command = argc > 1 ? argv[1] : "";
  if (command.empty()) return ExitCode(kProgram, UnknownCommand(command));
  std::string help = "--help";
  if (command == "help") argv[1] = help.data();
  if (argv[1][0] == '-') return ExitCode(kProgram, RunWithoutCommand(argc, argv));
  return ExitCode(kProgram, RunCommand(command, argc - 1, argv + 1));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
