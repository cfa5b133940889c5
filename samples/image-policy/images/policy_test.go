package images

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

func TestAPatternMatchesRepositoriesAsImagesAreNamed(t *testing.T) {
	for _, row := range []struct {
		pattern, image string
		matches        bool
	}{
		{"nginx", "nginx:1.27", true},
		{"nginx", "docker.io/library/nginx", true},
		{"docker.io/library/nginx", "nginx", true},
		{"nginx", "evil.example/nginx", false},
		{"nginx", "nginxx", false},
		{"bitnami/*", "bitnami/redis@sha256:1111111111111111111111111111111111111111111111111111111111111111", true},
		{"bitnami/*", "bitnami/a/b", false},
		{"registry.example.com/team/**", "registry.example.com/team/a/b:v1", true},
		{"registry.example.com/team/**", "registry.example.com/team", false},
		{"registry.example.com/team/**", "registry.example.com/teams/a", false},
		{"registry.example.com/**", "registry.example.com.evil.example/app", false},
		{"registry.example.com/**", "registry.example.com:444/app", false},
		{"localhost:5000/app-?", "localhost:5000/app-1", true},
		{"localhost:5000/app-?", "localhost:5000/app-12", false},
	} {
		p, err := parsePattern(row.pattern)
		if err != nil {
			t.Fatal(err)
		}
		reference, err := name.ParseReference(row.image)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.matches(reference.Context()); got != row.matches {
			t.Errorf("%s on %s: %v", row.pattern, row.image, got)
		}
	}
}

func TestAPatternThatIsNotUnderstoodSaysWhy(t *testing.T) {
	for pattern, why := range map[string]string{
		"":                      `"" is not the name of a repository`,
		"*.example.com/x":       `"*.example.com/x": the registry must be named in full`,
		"a.example/**/x":        `"a.example/**/x": ** stands at the end only`,
		"a.example/[":           `"a.example/[": part "[" is not understood`,
		"nginx:1.27":            `"nginx:1.27": a pattern has no tag`,
		"a.example//x":          `"a.example//x": part "" is not understood`,
		"a.example/x@sha256:00": `"a.example/x@sha256:00" is not the name of a repository`,
	} {
		if _, err := parsePattern(pattern); err == nil || err.Error() != why {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestPoliciesAddUpAndWithoutAnyEverythingIsAllowed(t *testing.T) {
	image, _ := name.ParseReference("redis")
	for list, allowed := range map[string]bool{
		`{"items":[]}`: true,
		`{"items":[{"spec":{"allow":["nginx"]}}]}`:                              false,
		`{"items":[{"spec":{"allow":["nginx"]}},{"spec":{"allow":["redis"]}}]}`: true,
		`{"items":[{"spec":{"allow":["*.bad/x"]}}]}`:                            false,
	} {
		rules, err := ParseRules([]byte(list))
		if err != nil || rules.Allows(image) != allowed {
			t.Errorf("%s: %v, %v", list, rules.Allows(image), err)
		}
	}
}
