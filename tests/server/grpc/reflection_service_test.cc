// SPDX-License-Identifier: Apache-2.0
// What clients learn of the server's services.
#include "runtime/server/grpc/reflection_service.h"

#include <set>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.pb.h"
#include "gtest/gtest.h"
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>

#include "sdar/v1/plan_record.pb.h"

namespace sdar {
namespace {

using grpc::reflection::v1::ServerReflection;
using ::testing::Contains;

ReflectionService::Response FileWith(const std::string& symbol) {
  ReflectionService::Request request;
  request.set_file_containing_symbol(symbol);
  return Reflect(request);
}

std::set<std::string> NamesOf(const ReflectionService::Response& response) {
  std::set<std::string> names;
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromString(bytes));
    EXPECT_TRUE(names.insert(file.name()).second) << file.name() << " comes twice";
  }
  return names;
}

TEST(ReflectionServiceTest, ListsTheServices) {
  ReflectionService::Request request;
  request.set_list_services("*");
  std::set<std::string> names;
  const ReflectionService::Response response = Reflect(request);
  for (const auto& service : response.list_services_response().service()) {
    names.insert(service.name());
  }
  EXPECT_THAT(names, Contains("sdar.v1.GenerationService"));
  EXPECT_THAT(names, Contains("grpc.reflection.v1.ServerReflection"));
}

TEST(ReflectionServiceTest, FindsTheFileOfAServiceOrMessageWithWhatItImports) {
  EXPECT_THAT(NamesOf(FileWith("sdar.v1.GenerationService")), Contains("sdar/v1/generation.proto"));
  EXPECT_THAT(NamesOf(FileWith("sdar.v1.GenerateRequest")), Contains("sdar/v1/generation.proto"));
  // A record of plans imports the plan; the linker takes it in because it is named here.
  ASSERT_NE(sdar::v1::PlanRecordHeader::descriptor(), nullptr);
  ReflectionService::Request by_name;
  by_name.set_file_by_filename("sdar/v1/plan_record.proto");
  EXPECT_THAT(NamesOf(Reflect(by_name)), Contains("sdar/v1/step_plan.proto"));
}

TEST(ReflectionServiceTest, SaysWhatIsNotThere) {
  EXPECT_EQ(FileWith("sdar.v1.Nothing").error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_LT(FileWith(std::string(1 << 20, 'x')).error_response().error_message().size(), 200u);
  EXPECT_EQ(Reflect({}).error_response().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  ReflectionService::Request extension;
  extension.mutable_file_containing_extension()->set_containing_type("sdar.v1.GenerateRequest");
  extension.mutable_file_containing_extension()->set_extension_number(5);
  EXPECT_EQ(Reflect(extension).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  ReflectionService::Request numbers;
  numbers.set_all_extension_numbers_of_type("sdar.v1.GenerateRequest");
  EXPECT_EQ(Reflect(numbers).all_extension_numbers_response().base_type_name(),
            "sdar.v1.GenerateRequest");
}

TEST(ReflectionServiceTest, AnswersEachRequestOfAStream) {
  ReflectionService service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  const auto stub = ServerReflection::NewStub(server->InProcessChannel({}));
  grpc::ClientContext context;
  const auto stream = stub->ServerReflectionInfo(&context);
  for (int i = 0; i < 3; ++i) {
    ReflectionService::Request request;
    request.set_file_containing_symbol("sdar.v1.GenerationService");
    ASSERT_TRUE(stream->Write(request));
    ReflectionService::Response response;
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.original_request().file_containing_symbol(), "sdar.v1.GenerationService");
    EXPECT_FALSE(NamesOf(response).empty());
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  server->Shutdown();
}

}  // namespace
}  // namespace sdar
