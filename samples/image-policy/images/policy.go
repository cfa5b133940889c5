// Package images decides which container images a cluster runs: ImagePolicy resources say which are allowed, and tags are
// replaced by the digests they have at that moment. It knows Kubernetes and registries, and of the protocol its answers only.
package images

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	Group   = "samples.gulfstream.dev"
	Version = "v1alpha1"

	ConditionReady = "Ready"
)

// ImagePolicy is the cluster-scoped resource of deploy/crd.yaml. Without any, every image is allowed; with some, each image
// must be allowed by one of them.
type ImagePolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              Spec   `json:"spec"`
	Status            Status `json:"status,omitzero"`
}

type Spec struct {
	// Patterns of repositories, "registry.example.com/team/*". A part of the path may have wildcards as in path.Match; "**" at
	// the end stands for any number of parts. A pattern without a registry means Docker Hub, as in an image's name.
	Allow []string `json:"allow"`
}

type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Patterns           int                `json:"patterns"` // that are understood, and so count
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// pattern is a repository in full, "index.docker.io/library/nginx", in parts.
type pattern []string

// parsePattern reads a pattern as an image's name is read, so that "nginx" and "docker.io/library/nginx" are the same.
func parsePattern(text string) (pattern, error) {
	bare := strings.TrimSpace(text)
	if bare == "" || strings.ContainsAny(bare, "@ ") {
		return nil, fmt.Errorf("%q is not the name of a repository", text)
	}
	parts := strings.Split(bare, "/")
	if len(parts) == 1 || !isRegistry(parts[0]) {
		if len(parts) == 1 {
			parts = append([]string{"library"}, parts...)
		}
		parts = append([]string{name.DefaultRegistry}, parts...)
	}
	if parts[0] == "docker.io" {
		parts[0] = name.DefaultRegistry
	}
	for i, part := range parts {
		if part == "**" && i != len(parts)-1 {
			return nil, fmt.Errorf("%q: ** stands at the end only", text)
		}
		if _, err := path.Match(part, ""); err != nil || part == "" {
			return nil, fmt.Errorf("%q: part %q is not understood", text, part)
		}
		// A registry is one name: with a wildcard anybody's registry could be it.
		if i == 0 && strings.ContainsAny(part, "*?[\\") {
			return nil, fmt.Errorf("%q: the registry must be named in full", text)
		}
		if i > 0 && strings.Contains(part, ":") {
			return nil, fmt.Errorf("%q: a pattern has no tag", text)
		}
	}
	return parts, nil
}

// isRegistry tells a registry from the first part of a path as container runtimes do.
func isRegistry(part string) bool { return strings.ContainsAny(part, ".:") || part == "localhost" }

func (p pattern) matches(repository name.Repository) bool {
	parts := append([]string{repository.RegistryStr()}, strings.Split(repository.RepositoryStr(), "/")...)
	for i, want := range p {
		if want == "**" {
			return len(parts) > i
		}
		if i >= len(parts) {
			return false
		}
		if ok, _ := path.Match(want, parts[i]); !ok {
			return false
		}
	}
	return len(parts) == len(p)
}

// Rules are the policies of a cluster, compiled.
type Rules struct {
	policies int
	patterns []pattern
}

// compile reads one policy; what is not understood allows nothing, and is said.
func compile(spec Spec) (understood []pattern, problems []string) {
	for _, text := range spec.Allow {
		if p, err := parsePattern(text); err != nil {
			problems = append(problems, err.Error())
		} else {
			understood = append(understood, p)
		}
	}
	return understood, problems
}

// ParseRules reads an ImagePolicyList.
func ParseRules(list []byte) (Rules, error) {
	var policies struct {
		Kind  string
		Items []ImagePolicy
	}
	if err := json.Unmarshal(list, &policies); err != nil {
		return Rules{}, fmt.Errorf("the list of ImagePolicies: %w", err)
	}
	rules := Rules{policies: len(policies.Items)}
	for _, policy := range policies.Items {
		understood, _ := compile(policy.Spec)
		rules.patterns = append(rules.patterns, understood...)
	}
	return rules, nil
}

// Any says whether there are policies at all.
func (r Rules) Any() bool { return r.policies > 0 }

// Allows says whether the image may run. An error: its name cannot be read.
func (r Rules) Allows(reference name.Reference) bool {
	if !r.Any() {
		return true
	}
	for _, p := range r.patterns {
		if p.matches(reference.Context()) {
			return true
		}
	}
	return false
}
