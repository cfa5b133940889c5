#include "base/error.h"

namespace gs {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::kInvalid, "{} is odd", n);
  return n / 2;
}

Result<int> quarter(int n) {
  GS_TRY(const int once, half(n));
  GS_TRY(const int twice, half(once));
  return twice;
}

Status even(int n) {
  GS_TRY_STATUS(half(n));
  return ok();
}

TEST(Error, TryUnwrapsAResultOrReturnsItsError) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
  EXPECT_TRUE(even(4).has_value());
  EXPECT_EQ(even(5).error().code, Code::kInvalid);
}

TEST(Error, ContextIsPutBeforeTheMessage) {
  Error error = Error(Code::kNotFound, "no such file").with_context("reading kubeconfig");
  EXPECT_EQ(error.to_string(), "NotFound: reading kubeconfig: no such file");
}

}  // namespace
}  // namespace gs
