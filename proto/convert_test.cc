#include "proto/convert.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// What the caller of a conversion sets himself.
const std::set<std::string> kCallersFields = {"collection", "sync", "filter_tree"};

// Sets every field to a value of its own, so that a field that a conversion forgets or confuses
// with another does not survive the round trip. Of a oneof, the `choice`-th member.
class Filler {
 public:
  explicit Filler(int choice) : choice_(choice) {}

  void Fill(Message* message) {
    const google::protobuf::Descriptor* type = message->GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (kCallersFields.count(field->name()) > 0) continue;
      const google::protobuf::OneofDescriptor* oneof = field->real_containing_oneof();
      if (oneof != nullptr && oneof->field(choice_ % oneof->field_count()) != field) continue;
      if (field->is_repeated()) {
        AddTo(message, field);
        AddTo(message, field);
      } else {
        Set(message, field);
      }
    }
  }

 private:
  int Next() { return ++last_; }
  int NextEnum(const FieldDescriptor* field) { return 1 + Next() % (field->enum_type()->value_count() - 1); }

  void Set(Message* message, const FieldDescriptor* field) {
    const Reflection& r = *message->GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return r.SetInt32(message, field, Next());
      case FieldDescriptor::CPPTYPE_INT64:
        return r.SetInt64(message, field, (1ll << 40) + Next());
      case FieldDescriptor::CPPTYPE_UINT32:
        return r.SetUInt32(message, field, (1u << 31) + Next());
      case FieldDescriptor::CPPTYPE_UINT64:
        return r.SetUInt64(message, field, (1ull << 63) + Next());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return r.SetDouble(message, field, Next() + 0.1);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return r.SetFloat(message, field, Next() + 0.5f);
      case FieldDescriptor::CPPTYPE_BOOL:
        return r.SetBool(message, field, true);
      case FieldDescriptor::CPPTYPE_ENUM:
        return r.SetEnumValue(message, field, NextEnum(field));
      case FieldDescriptor::CPPTYPE_STRING:
        return r.SetString(message, field, absl::StrCat("ö", Next()));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(r.MutableMessage(message, field));
    }
  }

  void AddTo(Message* message, const FieldDescriptor* field) {
    const Reflection& r = *message->GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return r.AddInt32(message, field, Next());
      case FieldDescriptor::CPPTYPE_UINT32:
        return r.AddUInt32(message, field, (1u << 31) + Next());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return r.AddDouble(message, field, Next() + 0.1);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return r.AddFloat(message, field, Next() + 0.5f);
      case FieldDescriptor::CPPTYPE_STRING:
        return r.AddString(message, field, absl::StrCat("ö", Next()));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(r.AddMessage(message, field));
      default:
        FAIL() << "repeated " << field->full_name() << " of a type this filler does not know";
    }
  }

  const int choice_;
  int last_ = 0;
};

template <typename T>
absl::StatusOr<T> AsStatusOr(absl::StatusOr<T> value) {
  return value;
}
template <typename T>
absl::StatusOr<T> AsStatusOr(T value) {
  return value;
}

template <typename Value, typename M>
absl::Status Encode(const Value& value, M* message) {
  if constexpr (std::is_void_v<decltype(ToProto(value, message))>) {
    ToProto(value, message);
    return absl::OkStatus();
  } else {
    return ToProto(value, message);
  }
}

template <typename M>
class ConvertTest : public testing::Test {};

using Messages = testing::Types<v1::Scalar, v1::Document, v1::Chunk, v1::UpsertResult, v1::ScrollRequest,
                                v1::ScrollReply, v1::SearchRequest, v1::SearchReply, v1::CollectionOptions,
                                v1::CollectionInfo, v1::KvProfile, v1::KvKey, v1::PutBeginRequest,
                                v1::KvReadRequest::Object, v1::LookupReply::Answer, v1::PlanRequest,
                                v1::PlanReply, v1::KvStatsReply, v1::StatsReply, v1::VerifyReply, v1::BackupInfo>;
TYPED_TEST_SUITE(ConvertTest, Messages);

TYPED_TEST(ConvertTest, EveryFieldSurvivesTheRoundTrip) {
  for (int choice = 0; choice < 5; ++choice) {
    SCOPED_TRACE(absl::StrCat("oneof member ", choice));
    TypeParam sent;
    Filler(choice).Fill(&sent);
    auto value = AsStatusOr(FromProto(sent));
    ASSERT_TRUE(value.ok()) << value.status();
    TypeParam back;
    ASSERT_TRUE(Encode(*value, &back).ok());
    std::string difference;
    google::protobuf::util::MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    EXPECT_TRUE(differencer.Compare(sent, back)) << difference;
  }
}

// The other direction's defaults: an empty message is the library's default value.
TEST(Convert, AbsentFieldsAreTheLibrarysDefaults) {
  const SearchRequest request = FromProto(v1::SearchRequest());
  EXPECT_EQ(request.k, 10u);
  EXPECT_TRUE(request.include_text);
  EXPECT_FALSE(request.exact);
  EXPECT_EQ(FromProto(v1::ScrollRequest()).limit, 100u);
  EXPECT_EQ(FromProto(v1::Document())->media_type, "text/plain");

  v1::CollectionOptions message;
  auto options = FromProto(message);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->embedder, EmbedderKind::kMiniLm);
  ASSERT_EQ(options->spaces.size(), 1u);
  EXPECT_EQ(options->spaces[0].name, "default");
  EXPECT_EQ(options->spaces[0].hnsw.m, 16u);
  EXPECT_EQ(options->spaces[0].hnsw.ef_construction, 200u);
  EXPECT_EQ(options->spaces[0].hnsw.ef_search, 96u);
  EXPECT_EQ(options->spaces[0].hnsw.row_code, RowCode::kAuto);
  EXPECT_EQ(options->chunking.max_tokens, 200u);
  EXPECT_EQ(options->chunking.overlap_tokens, 30u);
  EXPECT_TRUE(options->chunking.prepend_title);
  EXPECT_EQ(options->http.timeout, absl::Seconds(30));
  EXPECT_EQ(options->http.batch, 64u);
  EXPECT_EQ(options->http.max_attempts, 4u);

  v1::KvProfile profile;
  profile.set_dtype(v1::KvProfile::DTYPE_F16);
  profile.set_rope_style(v1::KvProfile::ROPE_STYLE_NEOX);
  auto read = FromProto(profile);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, KvProfile());
}

TEST(Convert, EnumsMeanTheSame) {
  v1::CollectionOptions message;
  CollectionOptions options;
  options.embedder = EmbedderKind::kNone;
  options.spaces[0].metric = Metric::kL2;
  options.spaces[0].index = IndexKind::kHnsw;
  options.spaces[0].hnsw.row_code = RowCode::kF32;
  ASSERT_TRUE(ToProto(options, &message).ok());
  EXPECT_EQ(message.embedder(), v1::EMBEDDER_KIND_NONE);
  EXPECT_EQ(message.spaces(0).metric(), v1::METRIC_L2);
  EXPECT_EQ(message.spaces(0).index(), v1::INDEX_KIND_HNSW);
  EXPECT_EQ(message.spaces(0).hnsw().row_code(), v1::ROW_CODE_F32);
  v1::KvProfile profile;
  ASSERT_TRUE(ToProto(KvProfile{.dtype = KvDtype::kBf16, .rope_style = RopeStyle::kNone}, &profile).ok());
  EXPECT_EQ(profile.dtype(), v1::KvProfile::DTYPE_BF16);
  EXPECT_EQ(profile.rope_style(), v1::KvProfile::ROPE_STYLE_NONE);
}

void ExpectInvalid(const absl::Status& status, absl::string_view part) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_NE(status.message().find(part), absl::string_view::npos) << status;
}

TEST(Convert, RefusesUnsetAndUnknownEnums) {
  v1::CollectionOptions options;
  options.set_embedder(v1::EMBEDDER_KIND_UNSPECIFIED);
  ExpectInvalid(FromProto(options).status(), "embedder kind is 0");
  options.clear_embedder();
  options.add_spaces()->set_metric(static_cast<v1::Metric>(9));
  ExpectInvalid(FromProto(options).status(), "metric is 9");
  options.mutable_spaces(0)->clear_metric();
  options.mutable_spaces(0)->set_index(v1::INDEX_KIND_UNSPECIFIED);
  ExpectInvalid(FromProto(options).status(), "index kind is 0");

  v1::KvProfile profile;
  ExpectInvalid(FromProto(profile).status(), "dtype is 0");
  profile.set_dtype(v1::KvProfile::DTYPE_F32);
  ExpectInvalid(FromProto(profile).status(), "rope_style is 0");
  ExpectInvalid(ToProto(KvProfile{.dtype = static_cast<KvDtype>(7)}, &profile), "dtype is 7");

  v1::PutBeginRequest put;
  put.mutable_form();
  ExpectInvalid(FromProto(put).status(), "dtype is 0");
  ExpectInvalid(FromProto(v1::KV_SIDECAR_KIND_UNSPECIFIED).status(), "sidecar kind is 0");
  v1::KvKey key;
  key.mutable_variant()->set_kind(static_cast<v1::KvVariant::Kind>(256));
  EXPECT_EQ(FromProto(key).variant.kind, static_cast<KvVariantKind>(255))
      << "must not become a kind that is known";
}

TEST(Convert, RefusesMetadataWithoutAValue) {
  v1::Document document;
  (*document.mutable_metadata())["year"];
  ExpectInvalid(FromProto(document).status(), "metadata field \"year\": a value is not set");
  (*document.mutable_metadata())["year"].mutable_list_value()->add_values();
  ExpectInvalid(FromProto(document).status(), "metadata field \"year\": a value is not set");

  Document empty_value;
  empty_value.metadata["year"] = MetadataValue();
  ExpectInvalid(ToProto(empty_value, &document), "metadata field \"year\": 0 values");
}

TEST(Convert, RefusesMetadataThatIsNotUtf8) {
  v1::Document message;
  Document document;
  document.metadata["name"] = MetadataValue("\xC3(");
  ExpectInvalid(ToProto(document, &message), "metadata field \"name\": a value is not UTF-8");
  document.metadata.clear();
  document.metadata["\xFFname"] = MetadataValue(1);
  ExpectInvalid(ToProto(document, &message), "metadata field");
  document.metadata.clear();
  document.chunks.push_back(GivenChunk());
  document.chunks[0].vectors["\xFF"] = {1.0f};
  ExpectInvalid(ToProto(document, &message), "vector space");
}

TEST(Convert, KeepsScalarTypesAndExtremes) {
  const Metadata metadata = {
      {"bool", MetadataValue(Scalar(false))},
      {"int", MetadataValue(Scalar(std::numeric_limits<int64_t>::min()))},
      {"double", MetadataValue(Scalar(-0.0))},
      {"empty", MetadataValue("")},
      {"list", MetadataValue(std::vector<Scalar>{int64_t{1}, 1.0, true, std::string("1")})},
      {"empty list", MetadataValue(std::vector<Scalar>{})},
  };
  v1::Document message;
  ASSERT_TRUE(ToProto(metadata, message.mutable_metadata()).ok());
  const auto back = FromProto(message.metadata());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, metadata);
}

TEST(Convert, RefusesWhatHasTwoMeanings) {
  v1::SearchRequest search;
  SearchRequest both;
  both.text = "t";
  both.vector = {1.0f};
  ExpectInvalid(ToProto(both, &search), "exactly one");
  v1::CollectionOptions message;
  CollectionOptions options;
  options.http.timeout = absl::Microseconds(1500);
  ExpectInvalid(ToProto(options, &message), "whole milliseconds");
  options = CollectionOptions();
  options.spaces.clear();
  ExpectInvalid(ToProto(options, &message), "vector space");
}

TEST(Convert, ReplacesBadBytesInMessagesForPeople) {
  v1::UpsertResult message;
  ToProto(UpsertResult{.id = "a", .error_code = 3, .error = "bad \xFF byte"}, &message);
  EXPECT_EQ(message.error(), "bad \xEF\xBF\xBD byte");
}

}  // namespace
}  // namespace larder
