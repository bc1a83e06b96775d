// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/safetensors.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/checkpoint/safetensors_writer.h"
#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

absl::StatusOr<SafetensorsHeader> Parse(const std::string& bytes) {
  return ParseSafetensorsHeader({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()},
                                "x.safetensors");
}

struct HostileHeader {
  const char* name;
  std::string header;
  size_t data_bytes;
  const char* message;
};

class HostileHeaderTest : public ::testing::TestWithParam<HostileHeader> {};

TEST_P(HostileHeaderTest, GetsOneClearError) {
  const auto& [name, header, data_bytes, message] = GetParam();
  const auto parsed = Parse(SafetensorsBytes(header, data_bytes));
  EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kInvalidArgument,
                               AllOf(HasSubstr("x.safetensors"), HasSubstr(message))));
  EXPECT_LT(parsed.status().message().size(), 1000u);
}

// A header with one tensor 'a' of these members.
std::string One(const std::string& members) { return "{\"a\": {" + members + "}}"; }

INSTANTIATE_TEST_SUITE_P(
    Headers, HostileHeaderTest,
    ::testing::Values(
        HostileHeader{"Empty", "", 0, "not JSON"}, HostileHeader{"Array", "[]", 0, "JSON object"},
        HostileHeader{"Number", "3", 0, "JSON object"},
        HostileHeader{"Unfinished", "{\"a\":", 0, "not JSON"},
        HostileHeader{"NotUtf8", "{\"\xff\": 1}", 0, "not JSON"},
        HostileHeader{"LongGarbage", "\"" + std::string(100000, 'x'), 0, "not JSON"},
        HostileHeader{"Deep", One("\"shape\": " + std::string(100000, '[')), 0, "nested deeper"},
        HostileHeader{"TwiceTheName",
                      R"({"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]},
                          "a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})",
                      0, "'a' appears twice"},
        HostileHeader{"TwiceTheField",
                      One(R"("dtype": "U8", "dtype": "F32", "shape": [0], "data_offsets": [0, 0])"),
                      0, "'dtype' appears twice"},
        HostileHeader{"NoObject", "{\"a\": 1}", 0, "expected an object"},
        HostileHeader{"NoDType", One(R"("shape": [], "data_offsets": [0, 4])"), 4, "'dtype'"},
        HostileHeader{"StrangeDType", One(R"("dtype": "Q4", "shape": [], "data_offsets": [0, 4])"),
                      4, "'Q4'"},
        HostileHeader{"NoShape", One(R"("dtype": "F32", "data_offsets": [0, 4])"), 4, "'shape'"},
        HostileHeader{"NegativeShape",
                      One(R"("dtype": "F32", "shape": [-1], "data_offsets": [0, 4])"), 4,
                      "sizes of 0 or more"},
        HostileHeader{"FractionalShape",
                      One(R"("dtype": "F32", "shape": [1.0], "data_offsets": [0, 4])"), 4,
                      "sizes of 0 or more"},
        HostileHeader{"HugeSize", One(R"("dtype": "F32", "shape": [18446744073709551615],
                             "data_offsets": [0, 4])"),
                      4, "sizes of 0 or more"},
        HostileHeader{"OverflowingShape", One(R"("dtype": "F32", "shape": [4294967296, 4294967296],
                             "data_offsets": [0, 0])"),
                      0, "too many elements"},
        HostileHeader{"NoOffsets", One(R"("dtype": "F32", "shape": [1])"), 4, "'data_offsets'"},
        HostileHeader{"OneOffset", One(R"("dtype": "F32", "shape": [1], "data_offsets": [0])"), 4,
                      "'data_offsets'"},
        HostileHeader{"NegativeOffset",
                      One(R"("dtype": "F32", "shape": [1], "data_offsets": [-4, 0])"), 4,
                      "'data_offsets'"},
        HostileHeader{"BackwardOffsets",
                      One(R"("dtype": "F32", "shape": [1], "data_offsets": [4, 0])"), 4,
                      "after end"},
        HostileHeader{"BeyondTheEnd",
                      One(R"("dtype": "F32", "shape": [2], "data_offsets": [0, 8])"), 7,
                      "truncated"},
        HostileHeader{"OtherSize", One(R"("dtype": "F32", "shape": [2], "data_offsets": [0, 4])"),
                      8, "expected 8 bytes, got 4"},
        HostileHeader{"Overlap",
                      R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                          "b": {"dtype": "U8", "shape": [4], "data_offsets": [3, 7]}})",
                      8, "inside tensor 'a'"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(SafetensorsTest, AFileShorterThanItsLengthFieldIsRefused) {
  EXPECT_THAT(Parse("1234567"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at least 8 bytes, got 7")));
}

TEST(SafetensorsTest, AHeaderLongerThanTheFileIsRefused) {
  std::string bytes = SafetensorsBytes("{}", 0);
  bytes[0] = 3;
  EXPECT_THAT(Parse(bytes), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("truncated")));
}

TEST(SafetensorsTest, AHeaderLongerThanTheLimitIsRefused) {
  EXPECT_THAT(Parse(std::string(16, '\xff')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("100000000")));
}

TEST(SafetensorsTest, ControlCharactersInNamesAreEscapedInErrors) {
  EXPECT_THAT(Parse(SafetensorsBytes("{\"a\\nb\": 1}", 0)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'a\\nb'")));
}

TEST(SafetensorsTest, MetadataIsNoTensorAndHolesAreAccepted) {
  SDAR_ASSERT_OK_AND_ASSIGN(const SafetensorsHeader header,
                            Parse(SafetensorsBytes(R"({"__metadata__": {"format": "pt"},
                                 "a": {"dtype": "U8", "shape": [3], "data_offsets": [5, 8]}})",
                                                   9)));
  ASSERT_THAT(header.tensors, SizeIs(1));
  EXPECT_EQ(header.tensors[0].begin, 5u);
}

TEST(SafetensorsTest, ScalarsAndEmptyTensorsAreAccepted) {
  EXPECT_THAT(Parse(SafetensorsBytes(
                  R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
                      "b": {"dtype": "F32", "shape": [9223372036854775807, 0, 9223372036854775807],
                            "data_offsets": [2, 2]}})",
                  4)),
              IsOk());
}

TEST(SafetensorsTest, ReadsBackWhatTheWriterWrote) {
  const TempFolder folder;
  const std::string path = folder.File("x.safetensors");
  {
    SDAR_ASSERT_OK_AND_ASSIGN(
        SafetensorsWriter writer,
        SafetensorsWriter::Create(
            path, {{{"b", StoredDType::kI64, {2}}, {"a", StoredDType::kF32, {1, 1}}}},
            {{"format", "pt"}}));
    std::vector<std::byte> bytes(20);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    ASSERT_THAT(writer.Append(absl::MakeSpan(bytes).subspan(0, 7)), IsOk());
    ASSERT_THAT(writer.Append(absl::MakeSpan(bytes).subspan(7)), IsOk());
    ASSERT_THAT(writer.Finish(), IsOk());
  }
  SDAR_ASSERT_OK_AND_ASSIGN(const SafetensorsFile file, SafetensorsFile::Open(path));
  const StoredTensor* a = file.Find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->dtype, StoredDType::kF32);
  EXPECT_THAT(a->shape, ElementsAre(1, 1));
  EXPECT_THAT(file.Bytes(*a),
              ElementsAre(std::byte{16}, std::byte{17}, std::byte{18}, std::byte{19}));
  EXPECT_EQ(file.Find("c"), nullptr);
}

TEST(SafetensorsWriterTest, LeavesNothingBehindUnlessFinished) {
  const TempFolder folder;
  {
    SDAR_ASSERT_OK_AND_ASSIGN(
        SafetensorsWriter writer,
        SafetensorsWriter::Create(folder.File("x"), {{{"a", StoredDType::kF32, {1}}}}));
    EXPECT_THAT(writer.Finish(),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("4 bytes")));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriterTest, RefusesMoreBytesThanDeclared) {
  const TempFolder folder;
  SDAR_ASSERT_OK_AND_ASSIGN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(folder.File("x"), {{{"a", StoredDType::kF32, {1}}}}));
  EXPECT_THAT(writer.Append(std::vector<std::byte>(5)),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("got 5")));
}

TEST(SafetensorsWriterTest, RefusesTwoTensorsOfOneName) {
  const TempFolder folder;
  EXPECT_THAT(SafetensorsWriter::Create(folder.File("x"), {{{"a", StoredDType::kF32, {1}},
                                                            {"a", StoredDType::kF32, {1}}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'a'")));
}

TEST(SafetensorsFileTest, AFolderIsRefused) {
  const TempFolder folder;
  EXPECT_THAT(SafetensorsFile::Open(folder.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("regular file")));
}

TEST(SafetensorsFileTest, AnEmptyFileIsRefused) {
  const TempFolder folder;
  folder.Write("x", "");
  EXPECT_THAT(SafetensorsFile::Open(folder.File("x")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got 0")));
}

}  // namespace
}  // namespace sdar
