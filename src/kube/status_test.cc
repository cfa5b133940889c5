#include "kube/transport.h"

namespace gs::kube {
namespace {

struct Row {
  int status;
  const char* body;
  const char* retry_after;
  Code code;
  int retry_seconds;
};

TEST(StatusError, MapsWhatServersSay) {
  const Row rows[] = {
      {404, R"({"kind":"Status","reason":"NotFound","message":"x"})", "", Code::kNotFound, -1},
      {409, R"({"kind":"Status","reason":"AlreadyExists"})", "", Code::kAlreadyExists, -1},
      {409, R"({"kind":"Status","reason":"Conflict"})", "", Code::kConflict, -1},
      {410, R"({"kind":"Status","reason":"Expired"})", "", Code::kExpired, -1},
      {410, "", "", Code::kExpired, -1},
      {500, R"({"kind":"Status","reason":"Expired","code":410})", "", Code::kExpired, -1},
      {504, R"({"kind":"Status","reason":"Timeout","details":{"retryAfterSeconds":1,"causes":[{"reason":"ResourceVersionTooLarge"}]}})",
       "", Code::kUnavailable, 1},
      {429, R"({"kind":"Status","reason":"TooManyRequests","details":{"retryAfterSeconds":7}})", "", Code::kTooManyRequests, 7},
      {429, "", "3", Code::kTooManyRequests, 3},
      {503, "<html>", "99999999", Code::kUnavailable, 3600},
      {422, R"({"kind":"Status","reason":"Invalid"})", "", Code::kInvalid, -1},
      {302, "", "", Code::kInternal, -1},
      {401, R"({"kind":"Status","reason":"Unauthorized"})", "", Code::kUnauthorized, -1},
      {403, R"({"kind":"Status","reason":"Forbidden"})", "", Code::kForbidden, -1},
      {413, "", "", Code::kTooLarge, -1},
      {415, "", "", Code::kInvalid, -1},
      {410, R"({"kind":"Status","reason":"Gone"})", "", Code::kExpired, -1},
      // A server before 1.18.
      {504, R"({"kind":"Status","reason":"Timeout","message":"Too large resource version: 9, current: 5"})", "", Code::kUnavailable, 1},
      {504, R"({"kind":"Status","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}})", "", Code::kUnavailable, 1},
      {500, R"({"kind":"Status","reason":"InternalError"})", "2", Code::kUnavailable, 2},
      {500, R"({"kind":"Status","details":{"retryAfterSeconds":-4,"causes":7}})", "", Code::kUnavailable, -1},
      // The header wins over the details.
      {429, R"({"kind":"Status","details":{"retryAfterSeconds":7}})", "1", Code::kTooManyRequests, 1},
      {503, "", "Thu, 01 Jan 1970 00:00:30 GMT", Code::kUnavailable, 30},
      {503, "", "Thu, 31 Dec 1969 00:00:30 GMT", Code::kUnavailable, 0},
      {503, "", "Fri, 01 Jan 1971 00:00:30 GMT", Code::kUnavailable, 3600},
      {503, "", "soon", Code::kUnavailable, -1},
      {503, "", "-1", Code::kUnavailable, -1},
  };
  for (const Row& row : rows) {
    const Error error = status_error(row.status, row.body, row.retry_after, WallTime{});
    EXPECT_EQ(error.code, row.code) << row.status << " " << row.body;
    EXPECT_EQ(error.http_status, row.status);
    EXPECT_EQ(error.retry_after ? to_seconds(*error.retry_after) : -1, row.retry_seconds) << row.status << row.body;
    EXPECT_FALSE(error.message.empty());
  }
}

TEST(StatusError, OfAnErrorEventTakesTheCodeOfItsStatus) {
  const Error gone = status_error(200, R"({"kind":"Status","code":410,"message":"too old resource version: 1"})", "", WallTime{});
  EXPECT_EQ(gone.code, Code::kExpired);
  EXPECT_EQ(gone.http_status, 410);
  const Error expired = status_error(200, R"({"kind":"Status","reason":"Expired","code":410})", "", WallTime{});
  EXPECT_EQ(expired.code, Code::kExpired);
  const Error odd = status_error(200, R"({"kind":"Status","code":99999999999})", "", WallTime{});
  EXPECT_EQ(odd.http_status, 999);
}

TEST(StatusError, KeepsTheMessageWithinBounds) {
  EXPECT_EQ(status_error(500, R"({"kind":"Status","message":"why"})", "", WallTime{}).message, "why");
  EXPECT_EQ(status_error(502, " <html> bad gateway ", "", WallTime{}).message, "<html> bad gateway");
  EXPECT_LE(status_error(502, std::string(100000, 'x'), "", WallTime{}).message.size(), 1100u);
}

}  // namespace
}  // namespace gs::kube
