#include "apiserver/conversion/conversion_memo.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/conversion/conversion_review.h"
#include "apiserver/respond.h"

namespace gs::apiserver::conversion {

using json::Value;

Value WebhookConverter::converted(Value object, const std::string& api_version) const {
  if (object.text("apiVersion") == api_version) return object;
  const Value* known = memo_ != nullptr ? memo_->find(object, api_version) : nullptr;
  if (known != nullptr) return *known;
  object["apiVersion"] = api_version;
  return object;
}

bool WebhookConverter::missing() const { return memo_ != nullptr && memo_->missing(); }

const Value* Memo::find(const Value& object, const std::string& api_version) {
  std::string key = api_version + object.dump();
  const auto [known, fresh] = known_.try_emplace(key);
  if (!fresh) return known->second ? &*known->second : nullptr;
  Missing one;
  one.key = std::move(key);
  one.object = object;
  one.api_version = api_version;
  missing_.push_back(std::move(one));
  return nullptr;
}

// One review is about one version.
Task<std::optional<Answer>> Memo::convert(ConverterPtr converter) {
  std::stable_sort(missing_.begin(), missing_.end(), [](const Missing& a, const Missing& b) { return a.api_version < b.api_version; });
  Status done = ok();
  for (size_t begin = 0; begin < missing_.size() && done;) {
    size_t end = begin;
    while (end < missing_.size() && end - begin < kMaxObjects && missing_[end].api_version == missing_[begin].api_version) ++end;
    auto converting = convert_some(converter, begin, end);
    done = co_await std::move(converting);
    begin = end;
  }
  missing_.clear();
  if (done) co_return std::nullopt;
  co_return failure(500, "", done.error().message);
}

Task<Result<Value>> Memo::convert_object(ConverterPtr converter, Value object, std::string api_version) {
  if (object.is_null() || object.text("apiVersion") == api_version) co_return object;
  clear();
  find(object, api_version);
  auto converting = convert_some(converter, 0, 1);
  const Status done = co_await std::move(converting);
  missing_.clear();
  if (!done) co_return fail(done.error());
  co_return *find(object, api_version);
}

Task<Status> Memo::convert_some(ConverterPtr converter, size_t begin, size_t end) {
  const std::string version = review_version(converter->versions_);
  if (version.empty()) co_return fail(Code::kInvalid, "no supported conversion review versions");
  std::vector<const Value*> objects;
  for (size_t i = begin; i < end; ++i) objects.push_back(&missing_[i].object);
  const std::string desired = missing_[begin].api_version, kind = kind_text(missing_[begin].object);
  const std::string uid = random_uuid(loop_.random());
  auto posting = clients_.post(converter->client_, write_review(uid, version, desired, objects), saturating_add(loop_.now(), kTimeout));
  auto body = co_await std::move(posting);
  if (!body) co_return fail(Code::kUnavailable, "conversion webhook for {} failed: {}", kind, body.error().message);
  auto converted = read_response(uid, version, desired, objects, *body);
  if (!converted) co_return fail(Code::kInvalid, "conversion webhook for {} {}", kind, converted.error().message);
  for (size_t i = begin; i < end; ++i) known_[std::move(missing_[i].key)] = std::move((*converted)[i - begin]);
  co_return ok();
}

}  // namespace gs::apiserver::conversion
