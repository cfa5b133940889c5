#include "kube/selector.h"

namespace gs::kube {
namespace {

struct Row {
  const char* selector;
  const char* labels;
  bool matches;
};

TEST(LabelSelector, MatchesAsKubernetesDoes) {
  const Row rows[] = {
      {"", R"({})", true},
      {"", "", true},
      {"a=b", R"({"a":"b"})", true},
      {"a==b", R"({"a":"c"})", false},
      {"a!=b", R"({"a":"c"})", true},
      {"a!=b", "", true},
      {"a", R"({"a":""})", true},
      {"!a", R"({"a":""})", false},
      {"a in (x, y),!b", R"({"a":"y"})", true},
      {"a in (x,y)", R"({"a":"z"})", false},
      {"a notin (x)", R"({"b":"x"})", true},
      {"example.com/a=", R"({"example.com/a":""})", true},
      {"a in ()", R"({"a":""})", true},
      {"a in (x,,y)", R"({"a":""})", true},
      {"a in (x,)", R"({"a":""})", true},
      {"a in (x)", R"({"a":""})", false},
      {"in in (in)", R"({"in":"in"})", true},
      {"a=in", R"({"a":"in"})", true},
      {"a==", R"({"a":""})", true},
      {"notin", R"({"notin":"x"})", true},
      {"a>5", R"({"a":"6"})", true},
      {"a>5", R"({"a":"5"})", false},
      {"a<5", R"({"a":"-6"})", true},
      {"a<5", R"({"a":"x"})", false},
      {"a<5", "", false},
  };
  for (const Row& row : rows) {
    const auto selector = LabelSelector::parse(row.selector);
    ASSERT_TRUE(selector) << row.selector;
    EXPECT_EQ(selector->matches(row.labels), row.matches) << row.selector << " on " << row.labels;
    EXPECT_EQ(LabelSelector::parse(selector->to_string())->to_string(), selector->to_string());
  }
}

// Each is what kube-apiserver 1.36 says.
TEST(LabelSelector, RefusesMalformedTextInKubernetesWords) {
  const std::pair<const char*, const char*> rows[] = {
      {"=a", "found '=', expected: !, identifier, or 'end of string'"},
      {"()", "found '(', expected: !, identifier, or 'end of string'"},
      {",", "found ',', expected: !, identifier, or 'end of string'"},
      {"a,", "found '', expected: identifier after ','"},
      {"a=b,,c", "found ',', expected: identifier after ','"},
      {"a=b c", "found 'c', expected: ',' or 'end of string'"},
      {"!a=b", "found '=', expected: ',' or 'end of string'"},
      {"a in x", "unable to parse requirement: found 'x' expected: '('"},
      {"a notin", "unable to parse requirement: found '' expected: '('"},
      {"a in (x", "unable to parse requirement: found '', expected: ',' or ')'"},
      {"a in (x y)", "unable to parse requirement: found 'y', expected: ',' or ')'"},
      {"a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"},
      {"a like b", "unable to parse requirement: found 'like', expected: in, notin, =, ==, !=, gt, lt"},
      {"a!", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"},
      {"a!==b", "unable to parse requirement: found '=', expected: identifier"},
      {"a=)", "unable to parse requirement: found ')', expected: identifier"},
      {"!", "unable to parse requirement: found '', expected: identifier"},
      {"!!a", "unable to parse requirement: found '!', expected: identifier"},
      {"a>", "unable to parse requirement: values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be an integer"},
      {"/x=1", "unable to parse requirement: <nil>: Invalid value: \"/x\": prefix part must be non-empty"},
  };
  for (const auto& [text, why] : rows) {
    const auto selector = LabelSelector::parse(text);
    ASSERT_FALSE(selector) << text;
    EXPECT_EQ(selector.error().message, why) << text;
  }
  const auto said = [](const char* text) { return LabelSelector::parse(text).error().message; };
  EXPECT_TRUE(said("b@d=x").starts_with("unable to parse requirement: <nil>: Invalid value: \"b@d\": name part must consist of alphanumeric characters, '-'"));
  EXPECT_TRUE(said("a=b@d").starts_with("unable to parse requirement: values[0][a]: Invalid value: \"b@d\": a valid label must be an empty string or"));
  EXPECT_TRUE(said("a in (b@d,c@d)").starts_with("unable to parse requirement: [values[0][a]: Invalid value: \"b@d\": a valid"));
  EXPECT_TRUE(said("a/b/c").starts_with("unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-'"));
  EXPECT_TRUE(said("UP/a").starts_with("unable to parse requirement: <nil>: Invalid value: \"UP/a\": prefix part a lowercase RFC 1123 subdomain must"));
  EXPECT_TRUE(said(("a=" + std::string(64, 'x')).c_str()).ends_with("must be no more than 63 bytes"));
}

TEST(LabelSelector, ReadsTheObjectFormAndNamesTheFieldThatIsWrong) {
  const auto selector = LabelSelector::from_object(
      *json::parse(R"({"matchLabels":{"b":"2"},"matchExpressions":[{"key":"a","operator":"In","values":["y","x"]}]})"), "spec.s");
  ASSERT_TRUE(selector);
  EXPECT_EQ(selector->to_string(), "a in (x,y),b=2");
  const auto bad = LabelSelector::from_object(*json::parse(R"({"matchExpressions":[{"key":"a","operator":"Is"}]})"), "spec.s");
  EXPECT_EQ(bad.error().message, "spec.s.matchExpressions[0].operator: \"Is\" is not one of In, NotIn, Exists, DoesNotExist");
}

}  // namespace
}  // namespace gs::kube
