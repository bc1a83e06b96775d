// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/schema/assembler.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/grammar/regular/dfa_operations.h"

namespace sdar::grammar {
namespace {

// A class with fewer names has them named one by one, so that no class runs out of names.
constexpr int kFewNames = 256;
constexpr size_t kMaxWants = 4;
constexpr int64_t kMaxRemembered = 64;

std::u32string CodePoints(const std::string& text) {
  std::u32string points;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    points.push_back(step.code_point);
    i += step.length;
  }
  return points;
}

void NameProperty(ObjectRule& rule, std::u32string name, NodeIndex node, bool required) {
  PropertyRule property;
  property.key_cost = CostOf(Writing::kJsonString, name) + 3;
  property.name = std::move(name);
  property.node = node;
  property.required = required;
  rule.named.push_back(std::move(property));
}

size_t PlaceOf(const ObjectRule& rule, const std::u32string& name) {
  const auto at = std::lower_bound(
      rule.named.begin(), rule.named.end(), name,
      [](const PropertyRule& property, const std::u32string& key) { return property.name < key; });
  return static_cast<size_t>(at - rule.named.begin());
}

}  // namespace

NodeIndex Assembler::NodeOf(FormulaId formula) {
  if (formula == kNothing) return kNoNode;
  const auto [found, is_new] =
      nodes_.try_emplace(formula, static_cast<NodeIndex>(formulas_.size()));
  if (is_new) formulas_.push_back(formula);
  return found->second;
}

int Assembler::DfaOf(LanguageId language) {
  if (language == kNoLanguage) return kNoDfa;
  const auto [found, is_new] =
      strings_.try_emplace(language, static_cast<int>(grammar_.dfas.size()));
  if (is_new) {
    grammar_.dfas.push_back(expander_.languages().Scan(language, Writing::kJsonString));
  }
  return found->second;
}

int Assembler::NumberDfaOf(LanguageId language) {
  if (language == kNoLanguage) return kNoDfa;
  const auto [found, is_new] =
      numbers_.try_emplace(language, static_cast<int>(grammar_.dfas.size()));
  if (is_new) grammar_.dfas.push_back(expander_.languages().Scan(language, Writing::kPlain));
  return found->second;
}

absl::StatusOr<JsonGrammar> Assembler::Assemble(FormulaId root) {
  grammar_.root = NodeOf(root);
  for (size_t i = 0; i < formulas_.size(); ++i) {
    if (i >= limits_.max_nodes) {
      return absl::InvalidArgumentError("the schema combines into too many places");
    }
    grammar_.nodes.resize(formulas_.size());
    SDAR_RETURN_IF_ERROR(AddNode(static_cast<NodeIndex>(i), formulas_[i]));
  }
  grammar_.nodes.resize(formulas_.size());
  SDAR_RETURN_IF_ERROR(Prune(grammar_, limits_));
  if (grammar_.root == kNoNode) {
    return absl::InvalidArgumentError("no value satisfies the schema");
  }
  for (const ArrayRule& rule : grammar_.arrays) SDAR_RETURN_IF_ERROR(CheckUnique(rule));
  for (const ArrayRule& rule : grammar_.arrays) {
    if (rule.unique) grammar_.most_distinct = std::max(grammar_.most_distinct, rule.min);
  }
  return std::move(grammar_);
}

absl::Status Assembler::AddNode(NodeIndex index, FormulaId formula) {
  SDAR_ASSIGN_OR_RETURN(const SharedExpansion expansion, expander_.Expand(formula));
  ValueNode node;
  node.takes_null = expansion->takes_null;
  node.takes_true = expansion->takes_true;
  node.takes_false = expansion->takes_false;
  node.number = NumberDfaOf(expansion->numbers.texts);
  node.string = DfaOf(expansion->strings);
  for (const auto& shape : expansion->objects) {
    SDAR_ASSIGN_OR_RETURN(const int rule, AddObject(shape));
    node.objects.push_back(rule);
  }
  for (const auto& shape : expansion->arrays) {
    SDAR_ASSIGN_OR_RETURN(const int rule, AddArray(shape));
    node.arrays.push_back(rule);
  }
  grammar_.nodes[static_cast<size_t>(index)] = std::move(node);
  return absl::OkStatus();
}

absl::StatusOr<int> Assembler::AddObject(const std::shared_ptr<const ObjectShape>& shape) {
  if (const auto found = objects_.find(shape.get()); found != objects_.end()) {
    return found->second;
  }
  ObjectRule rule;
  rule.min = shape->min;
  rule.max = shape->max;
  for (const NamedProperty& property : shape->named) {
    NameProperty(rule, CodePoints(property.name), NodeOf(property.value), property.required);
  }
  SDAR_RETURN_IF_ERROR(AddClasses(*shape, rule));
  std::sort(rule.named.begin(), rule.named.end(),
            [](const PropertyRule& a, const PropertyRule& b) { return a.name < b.name; });
  AddImplied(*shape, rule);
  FindCovers(rule);
  const bool implies = std::any_of(rule.named.begin(), rule.named.end(),
                                   [](const PropertyRule& p) { return !p.implied.empty(); });
  if (implies && rule.min > 1) {
    return absl::InvalidArgumentError("minProperties above 1 with dependent properties");
  }
  if (!rule.classes.empty() && rule.min > kMaxRemembered) {
    return absl::InvalidArgumentError("minProperties is too large");
  }
  const auto index = static_cast<int>(grammar_.objects.size());
  grammar_.objects.push_back(std::move(rule));
  objects_[shape.get()] = index;
  kept_objects_.push_back(shape);
  return index;
}

// Classes are parted by the names that `some` asks for, so that a class answers as a whole.
absl::StatusOr<std::vector<Assembler::Class>> Assembler::ClassesOf(const ObjectShape& shape) {
  LanguagePool& languages = expander_.languages();
  std::vector<Class> classes;
  for (const OtherProperties& others : shape.others) {
    std::vector<std::string> inside;
    for (const NamedProperty& property : shape.named) {
      if (languages.Has(others.names, property.name)) inside.push_back(property.name);
    }
    LanguageId id = others.names;
    if (!inside.empty()) {
      SDAR_ASSIGN_OR_RETURN(Dfa named, AnyOf(inside, limits_.regular));
      SDAR_ASSIGN_OR_RETURN(id, languages.Subtract(id, languages.Add(std::move(named))));
    }
    if (id != kNoLanguage) classes.push_back({id, others.value, 0});
  }
  for (size_t want = 0; want < shape.some.size(); ++want) {
    std::vector<Class> parted;
    for (const Class& old : classes) {
      SDAR_ASSIGN_OR_RETURN(const LanguageId inside,
                            languages.Intersect(old.names, shape.some[want].names));
      SDAR_ASSIGN_OR_RETURN(const LanguageId outside,
                            languages.Subtract(old.names, shape.some[want].names));
      if (inside != kNoLanguage) parted.push_back({inside, old.value, old.wants | 1u << want});
      if (outside != kNoLanguage) parted.push_back({outside, old.value, old.wants});
    }
    classes = std::move(parted);
  }
  return classes;
}

absl::Status Assembler::AddClasses(const ObjectShape& shape, ObjectRule& rule) {
  if (shape.min == 0 && shape.some.empty() && shape.others.size() == 1 &&
      shape.others[0].names == kAnyText) {
    rule.classes.push_back({kNoDfa, NodeOf(shape.others[0].value)});
    return absl::OkStatus();
  }
  if (shape.some.size() > kMaxWants) {
    return absl::InvalidArgumentError("too many conditions on some property");
  }
  rule.wants = (1u << shape.some.size()) - 1;
  SDAR_ASSIGN_OR_RETURN(const std::vector<Class> classes, ClassesOf(shape));
  for (const Class& entry : classes) {
    bool few = false;
    SDAR_RETURN_IF_ERROR(AddFewNames(entry.names, entry.value, rule, few));
    if (few && entry.wants != 0) {
      return absl::InvalidArgumentError("a condition on some property of few names");
    }
    if (few) continue;
    const auto place = static_cast<int>(rule.classes.size());
    rule.classes.push_back({DfaOf(entry.names), NodeOf(entry.value)});
    for (uint32_t does = 1; does <= rule.wants; ++does) {
      if ((does & ~entry.wants) != 0) continue;
      FormulaId value = entry.value;
      for (size_t want = 0; want < shape.some.size(); ++want) {
        if ((does >> want & 1) == 0) continue;
        value = expander_.formulas().All(value, shape.some[want].value);
      }
      if (value != kNothing) rule.witnesses.push_back({place, NodeOf(value), does});
    }
  }
  return absl::OkStatus();
}

absl::Status Assembler::AddFewNames(LanguageId names, FormulaId value, ObjectRule& rule,
                                    bool& few) {
  const ScanDfa scan = expander_.languages().Scan(names, Writing::kJsonString);
  few = scan.Words(scan.start()) <= kFewNames;
  if (!few) return absl::OkStatus();
  const int count = scan.Words(scan.start());
  for (CheapWord& word : scan.CheapestWords(scan.start(), kNoCharacter, count + 1)) {
    NameProperty(rule, std::move(word.text), NodeOf(value), false);
  }
  return absl::OkStatus();
}

// Closed: what is implied brings what it implies itself.
void Assembler::AddImplied(const ObjectShape& shape, ObjectRule& rule) {
  std::vector<std::vector<int>> direct(rule.named.size());
  for (const auto& [first, second] : shape.implied) {
    direct[PlaceOf(rule, CodePoints(first))].push_back(
        static_cast<int>(PlaceOf(rule, CodePoints(second))));
  }
  for (size_t i = 0; i < rule.named.size(); ++i) {
    if (direct[i].empty()) continue;
    std::vector<bool> reached(rule.named.size());
    std::vector<int> open = direct[i];
    while (!open.empty()) {
      const auto place = static_cast<size_t>(open.back());
      open.pop_back();
      if (reached[place]) continue;
      reached[place] = true;
      open.insert(open.end(), direct[place].begin(), direct[place].end());
    }
    reached[i] = false;
    for (size_t k = 0; k < reached.size(); ++k) {
      if (reached[k]) rule.named[i].implied.push_back(static_cast<int>(k));
    }
  }
}

}  // namespace sdar::grammar
