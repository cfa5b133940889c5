// Authority: may this request be made in the reconcile of this key, or in this review? The design's rules and nothing
// else; what no rule grants is refused. Immutable and without I/O.
#pragma once

#include <string>

#include "gateway/rest_request.h"
#include "gateway/rules.h"

namespace gs::gateway {

struct Decision {
  bool allowed = false;
  // The request's own verb is granted; it might create, and that is not.
  bool only_create_missing = false;
  // Where refused: what is missing, in words that an author can act on.
  std::string missing;
};

class Authority {
 public:
  explicit Authority(Rules rules) : rules_(std::move(rules)) {}

  Decision check(const RestRequest& request, const KeyScope& key) const;
  // A list or watch for the whole pair, bound to no reconcile, from the plane's cache: only of a
  // primary, or of a secondary with delegateWatch, and never wider than what is watched.
  Decision check_pair_wide(const RestRequest& request) const;
  const Rules& rules() const { return rules_; }

 private:
  // Reads of what `authorized` grants and of the configs. Nothing lets a review write, under dry run neither: who may have
  // an object admitted must not thereby have the plane's hand.
  Decision check_review(const RestRequest& request, const KeyScope& review) const;
  bool granted(Verb verb, const RestRequest& request, const KeyScope& key) const;
  bool by_primary(Verb verb, const RestRequest& request, const KeyScope& key) const;
  bool by_secondary(Verb verb, const RestRequest& request, const KeyScope& key) const;
  bool by_authorized(Verb verb, const RestRequest& request, const KeyScope& key) const;
  bool by_config(Verb verb, const RestRequest& request) const;
  bool in_reach(const RestRequest& request, const KeyScope& key) const;
  bool crosses_freely(const RestRequest& request, Verb verb) const;
  std::string explain(Verb verb, const RestRequest& request, const KeyScope& key) const;

  Rules rules_;
};

}  // namespace gs::gateway
