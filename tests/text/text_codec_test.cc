// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/text_codec.h"

#include <vector>

#include "gtest/gtest.h"

namespace sdar {
namespace {

TEST(TextCodecTest, RefusesIdsOfMoreTextThanABodyMayHave) {
  const auto codec = TextCodec::Load(SDAR_SOURCE_DIR "/models/sdar-tiny");
  ASSERT_TRUE(codec.ok()) << codec.status();
  const TokenId id = *codec->tokenizer().FindToken("a");
  std::vector<TokenId> ids(TextCodec::kMaxDecodedBytes, id);
  EXPECT_EQ(codec->DecodeIds(ids, false, "ids")->size(), ids.size());
  ids.push_back(id);
  EXPECT_EQ(codec->DecodeIds(ids, false, "ids").status().message(),
            "ids: expected ids of at most 16777216 bytes of text, got 16777217");
  EXPECT_EQ(codec->DecodeIds({id, -1}, false, "ids").status().message(),
            "ids: the tokenizer has no token -1");
}

}  // namespace
}  // namespace sdar
