package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	pb "gulfstream.dev/proto/delegate/v1"

	"gulfstream.dev/samples/website/session"
)

// The Webhooks of deploy/webhooks.yaml, by name.
const (
	Validate = "image-policy-validate"
	Resolve  = "image-policy-resolve"
)

// Reviewer decides on Pods. One for all clusters: the context of a request says which.
type Reviewer struct {
	client   *http.Client
	resolver *Resolver
}

func NewReviewer(transport http.RoundTripper, resolver *Resolver) *Reviewer {
	return &Reviewer{client: &http.Client{Transport: transport}, resolver: resolver}
}

// Admit is a session.Admit.
func (r *Reviewer) Admit(ctx context.Context, review session.Review) *pb.Admitted {
	containers, err := underReview(review.Request)
	if err != nil {
		return session.Refused(http.StatusBadRequest, "BadRequest", err.Error())
	}
	if len(containers) == 0 {
		return session.Allowed(nil)
	}
	rules, err := r.rules(ctx)
	if err != nil {
		return session.Undecided("PoliciesUnknown", err.Error())
	}
	switch review.Pair.Webhook {
	case Validate:
		return validate(rules, containers)
	case Resolve:
		return r.resolve(ctx, rules, containers)
	}
	return session.Undecided("UnknownWebhook", fmt.Sprintf("this delegate serves the Webhooks %s and %s, not %s", Validate, Resolve, review.Pair.Webhook))
}

// underReview is what the request would newly run.
func underReview(request []byte) ([]container, error) {
	var admission struct {
		Object, OldObject json.RawMessage
	}
	if err := json.Unmarshal(request, &admission); err != nil {
		return nil, err
	}
	if len(admission.Object) == 0 || string(admission.Object) == "null" {
		return nil, nil // a deletion
	}
	now, err := podContainers(admission.Object)
	if err != nil || len(admission.OldObject) == 0 || string(admission.OldObject) == "null" {
		return now, err
	}
	before, err := podContainers(admission.OldObject)
	if err != nil {
		return nil, err
	}
	return changed(now, before), nil
}

// rules are read from the plane's cache, which has them because a Controller of ours watches them.
func (r *Reviewer) rules(ctx context.Context) (Rules, error) {
	url := "http://plane/apis/" + Group + "/" + Version + "/imagepolicies?resourceVersion=0"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Rules{}, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return Rules{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Rules{}, err
	}
	if response.StatusCode != http.StatusOK {
		return Rules{}, fmt.Errorf("reading ImagePolicies: status %d", response.StatusCode)
	}
	return ParseRules(body)
}

func validate(rules Rules, containers []container) *pb.Admitted {
	var outside []string
	for _, c := range containers {
		reference, err := name.ParseReference(c.Image)
		if err != nil {
			outside = append(outside, fmt.Sprintf("container %s: %q is not the name of an image", c.Name, c.Image))
		} else if !rules.Allows(reference) {
			outside = append(outside, fmt.Sprintf("container %s: no ImagePolicy allows %s", c.Name, c.Image))
		}
	}
	if len(outside) == 0 {
		return session.Allowed(nil)
	}
	slices.Sort(outside)
	return session.Refused(http.StatusForbidden, "Forbidden", strings.Join(outside, "; "))
}

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// resolve replaces tags by digests. Only of what is allowed: nobody makes us ask a registry of their choice. What is not allowed
// is left to the validating webhook, which sees what all mutating ones made of it.
func (r *Reviewer) resolve(ctx context.Context, rules Rules, containers []container) *pb.Admitted {
	var patch []operation
	annotations := map[string]string{}
	for _, c := range containers {
		tag, err := name.NewTag(c.Image)
		if err != nil || !rules.Any() || !rules.Allows(tag) {
			continue // a digest already, or not ours to ask for
		}
		digest, err := r.resolver.Digest(ctx, tag)
		if errors.Is(err, errNoImage) {
			return session.Refused(http.StatusUnprocessableEntity, "Invalid", fmt.Sprintf("container %s: %s: %s", c.Name, c.Image, err))
		}
		if err != nil {
			return session.Undecided("RegistryUnavailable", fmt.Sprintf("container %s: %s", c.Name, err))
		}
		patch = append(patch, operation{Op: "replace", Path: c.Pointer, Value: c.Image + "@" + digest})
		annotations["resolved."+c.Name] = digest
	}
	if len(patch) == 0 {
		return session.Allowed(nil)
	}
	slices.SortFunc(patch, func(a, b operation) int { return strings.Compare(a.Path, b.Path) })
	text, err := json.Marshal(patch)
	if err != nil {
		return session.Undecided("Defect", err.Error())
	}
	answer := session.Allowed(text)
	answer.AuditAnnotations = annotations
	return answer
}
