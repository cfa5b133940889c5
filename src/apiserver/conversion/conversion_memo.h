// Custom resources between versions, where a webhook converts them. Reading and writing are synchronous steps, and a webhook
// takes time: what a step needs converted and nobody has converted yet is noted, the step is told a stand-in and its outcome
// is thrown away; the webhook is asked about all of it at once, and the step is run again.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "apiserver/admission/client_manager.h"
#include "apiserver/answer.h"
#include "json/value.h"
#include "runtime/task.h"

namespace gs::apiserver::conversion {

class Memo;

// How the versions of one CRD are converted; all its types share one. Lives on its cluster's loop.
class WebhookConverter {
 public:
  WebhookConverter(admission::ClientConfig client, std::vector<std::string> versions) : client_(std::move(client)), versions_(std::move(versions)) {}

  // The object in another version. Outside of a step that can wait, and where it is not known yet: as it is, under the other
  // version's name.
  json::Value converted(json::Value object, const std::string& api_version) const;
  // Whether the present step was told a stand-in: then nothing of what it found may be written or told.
  bool missing() const;

 private:
  friend class Memo;
  friend class Converting;
  admission::ClientConfig client_;
  std::vector<std::string> versions_;
  Memo* memo_ = nullptr;  // of the present step
};
using ConverterPtr = std::shared_ptr<WebhookConverter>;

// What was converted for one request or watch.
class Memo {
 public:
  // Objects in one review.
  static constexpr size_t kMaxObjects = 500;
  static constexpr Duration kTimeout = std::chrono::seconds(30);

  Memo(Loop& loop, admission::WebhookClients& clients) : loop_(loop), clients_(clients) {}
  bool missing() const { return !missing_.empty(); }
  // Asks about all that is missing. An answer: why it cannot be had.
  Task<std::optional<Answer>> convert(ConverterPtr converter);
  // One object, at once.
  Task<Result<json::Value>> convert_object(ConverterPtr converter, json::Value object, std::string api_version);
  // Lets go of what was converted.
  void clear() {
    known_.clear();
    missing_.clear();
  }

 private:
  friend class WebhookConverter;
  struct Missing {
    std::string key;
    json::Value object;
    std::string api_version;
  };
  const json::Value* find(const json::Value& object, const std::string& api_version);
  Task<Status> convert_some(ConverterPtr converter, size_t begin, size_t end);

  Loop& loop_;
  admission::WebhookClients& clients_;
  std::unordered_map<std::string, std::optional<json::Value>> known_;  // nullopt: among those that are missing
  std::vector<Missing> missing_;
};

// While one lives, the converter's step is that of this memo. `converter` and `memo` may be null.
class Converting {
 public:
  Converting(ConverterPtr converter, Memo* memo) : converter_(std::move(converter)) {
    if (converter_) converter_->memo_ = memo;
  }
  ~Converting() {
    if (converter_) converter_->memo_ = nullptr;
  }
  Converting(const Converting&) = delete;
  Converting& operator=(const Converting&) = delete;

 private:
  ConverterPtr converter_;
};

}  // namespace gs::apiserver::conversion
