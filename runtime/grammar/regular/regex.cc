// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/regex.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/regular/nfa.h"
#include "runtime/grammar/regular/regex_parser.h"

namespace sdar::grammar {
namespace {

// Writes a tree into an Nfa. Repetitions copy what they repeat.
class TreeWriter {
 public:
  TreeWriter(const RegexTree& tree, const RegularLimits& limits, Nfa& nfa)
      : tree_(tree), limits_(limits), nfa_(nfa), first_set_(static_cast<int>(nfa.sets().size())) {
    for (const CodePointSet& set : tree.sets) nfa_.AddSet(set);
  }

  // Adds what leads from `from` over a text of the node; returns where it leads to.
  absl::StatusOr<Nfa::State> Write(int index, Nfa::State from) {
    if (++num_written_ > limits_.max_nfa_states || nfa_.num_states() > limits_.max_nfa_states) {
      return absl::ResourceExhaustedError("the regular expression repeats too much");
    }
    const RegexNode& node = tree_.nodes[static_cast<size_t>(index)];
    switch (node.kind) {
      case RegexNode::Kind::kSet: {
        const Nfa::State to = nfa_.AddState();
        nfa_.AddStep(from, first_set_ + node.set, to);
        return to;
      }
      case RegexNode::Kind::kAssertion: {
        const Nfa::State to = nfa_.AddState();
        nfa_.AddJump(from, to, node.assertion);
        return to;
      }
      case RegexNode::Kind::kSequence: {
        for (const int child : node.children) {
          SDAR_ASSIGN_OR_RETURN(from, Write(child, from));
        }
        return from;
      }
      case RegexNode::Kind::kChoice:
        return WriteChoice(node, from);
      case RegexNode::Kind::kRepeat:
        return WriteRepeat(node, from);
    }
    return from;
  }

 private:
  absl::StatusOr<Nfa::State> WriteChoice(const RegexNode& node, Nfa::State from) {
    const Nfa::State end = nfa_.AddState();
    for (const int child : node.children) {
      SDAR_ASSIGN_OR_RETURN(const Nfa::State to, Write(child, from));
      nfa_.AddJump(to, end);
    }
    return end;
  }

  absl::StatusOr<Nfa::State> WriteRepeat(const RegexNode& node, Nfa::State from) {
    const int child = node.children.front();
    for (int i = 0; i < node.min; ++i) {
      SDAR_ASSIGN_OR_RETURN(from, Write(child, from));
    }
    if (node.max == -1) {
      const Nfa::State loop = nfa_.AddState();
      nfa_.AddJump(from, loop);
      SDAR_ASSIGN_OR_RETURN(const Nfa::State to, Write(child, loop));
      nfa_.AddJump(to, loop);
      return loop;
    }
    const Nfa::State end = nfa_.AddState();
    nfa_.AddJump(from, end);
    for (int i = node.min; i < node.max; ++i) {
      SDAR_ASSIGN_OR_RETURN(from, Write(child, from));
      nfa_.AddJump(from, end);
    }
    return end;
  }

  const RegexTree& tree_;
  const RegularLimits& limits_;
  Nfa& nfa_;
  const int first_set_;
  int num_written_ = 0;
};

absl::StatusOr<Dfa> CompileTree(const RegexTree& tree, RegexUse use, const RegularLimits& limits) {
  Nfa nfa;
  const Nfa::State start = nfa.AddState();
  TreeWriter writer(tree, limits, nfa);
  SDAR_ASSIGN_OR_RETURN(const Nfa::State end, writer.Write(tree.root, start));
  if (use == RegexUse::kWholeText) return nfa.Determinize(start, end, limits);
  const int any = nfa.AddSet(CodePointSet::All());
  const Nfa::State before = nfa.AddState();
  const Nfa::State behind = nfa.AddState();
  nfa.AddStep(before, any, before);
  nfa.AddJump(before, start);
  nfa.AddJump(end, behind);
  nfa.AddStep(behind, any, behind);
  return nfa.Determinize(before, behind, limits);
}

// Takes from `texts` those that do not begin as the look-ahead wants.
absl::StatusOr<Dfa> Apply(const LeadingLookahead& lookahead, const Dfa& texts,
                          const RegularLimits& limits) {
  RegexOptions options;
  options.reading = lookahead.negative ? RegexReading::kEither : RegexReading::kBoth;
  options.ignore_case = lookahead.ignore_case;
  SDAR_ASSIGN_OR_RETURN(const ParsedRegex parsed,
                        ParseRegex(U"^(?:" + lookahead.pattern + U")", options, limits));
  SDAR_ASSIGN_OR_RETURN(const Dfa begins, CompileTree(parsed.tree, RegexUse::kSearch, limits));
  return lookahead.negative ? Subtract(texts, begins, limits) : Intersect(texts, begins, limits);
}

}  // namespace

absl::StatusOr<Dfa> CompileRegex(absl::string_view pattern, RegexUse use,
                                 const RegularLimits& limits) {
  if (pattern.size() > static_cast<size_t>(limits.max_pattern_bytes)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a regular expression is longer than ", limits.max_pattern_bytes, " bytes"));
  }
  std::u32string characters;
  for (size_t i = 0; i < pattern.size();) {
    const Utf8Step step = ReadUtf8(pattern, i);
    if (!step.valid) return absl::InvalidArgumentError("the regular expression is not UTF-8");
    characters.push_back(step.code_point);
    i += step.length;
  }
  RegexOptions options;
  options.lookahead = use == RegexUse::kSearch;
  SDAR_ASSIGN_OR_RETURN(const ParsedRegex parsed, ParseRegex(characters, options, limits));
  SDAR_ASSIGN_OR_RETURN(Dfa dfa, CompileTree(parsed.tree, use, limits));
  for (const LeadingLookahead& lookahead : parsed.lookaheads) {
    SDAR_ASSIGN_OR_RETURN(dfa, Apply(lookahead, dfa, limits));
  }
  return dfa;
}

}  // namespace sdar::grammar
