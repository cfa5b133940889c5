package images

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	pb "gulfstream.dev/proto/delegate/v1"

	"gulfstream.dev/samples/website/session"
)

// plane answers the one read that a review makes.
type plane struct {
	policies string
	status   int
}

func (p plane) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.RequestURI() != "/apis/samples.gulfstream.dev/v1alpha1/imagepolicies?resourceVersion=0" {
		return nil, fmt.Errorf("unexpected %s", r.URL)
	}
	return &http.Response{StatusCode: p.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(p.policies))}, nil
}

// world is a registry with one image, app:v1, and policies that allow it.
type world struct {
	t        *testing.T
	registry *httptest.Server
	host     string
	digest   string
	requests int
	resolver *Resolver
	plane    plane
}

func begin(t *testing.T) *world {
	w := &world{t: t, resolver: NewResolver(time.Minute)}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	w.registry = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.requests++
		inner.ServeHTTP(out, r)
	}))
	t.Cleanup(w.registry.Close)
	w.host = strings.TrimPrefix(w.registry.URL, "http://")
	w.digest = w.push("v1")
	w.plane = plane{policies: `{"items":[{"spec":{"allow":["` + w.host + `/app"]}}]}`, status: 200}
	w.requests = 0
	return w
}

func (w *world) push(tag string) string {
	image, err := random.Image(64, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	reference, err := name.NewTag(w.host + "/app:" + tag)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := remote.Write(reference, image); err != nil {
		w.t.Fatal(err)
	}
	digest, _ := image.Digest()
	return digest.String()
}

func pod(images ...string) string {
	var containers []string
	for i, image := range images {
		containers = append(containers, fmt.Sprintf(`{"name":"c%d","image":%q}`, i, image))
	}
	return `{"spec":{"containers":[` + strings.Join(containers, ",") + `]}}`
}

func (w *world) review(webhook, object, oldObject string) *pb.Admitted {
	reviewer := NewReviewer(w.plane, w.resolver)
	request := `{"operation":"CREATE","object":` + object + `,"oldObject":` + oldObject + `}`
	return reviewer.Admit(w.t.Context(), session.Review{Pair: &pb.Open{Webhook: webhook}, Request: []byte(request)})
}

func TestAnImageOutsideTheAllowListIsRefusedByName(t *testing.T) {
	w := begin(t)
	answer := w.review(Validate, pod(w.host+"/app:v1", "evil.example/miner", "!"), "null")
	want := `container c1: no ImagePolicy allows evil.example/miner; container c2: "!" is not the name of an image`
	if answer.GetRefused().GetCode() != 403 || answer.GetRefused().GetMessage() != want {
		t.Fatal(answer)
	}
	if w.review(Validate, pod(w.host+"/app:v1"), "null").GetAllowed() == nil || w.requests != 0 {
		t.Fatal("refused, or the registry was asked")
	}
}

func TestWhatRunsAlreadyMayGoOnWhenAPolicyBecomesStricter(t *testing.T) {
	w := begin(t)
	if w.review(Validate, pod("old.example/app"), pod("old.example/app")).GetAllowed() == nil {
		t.Fatal("an update that changes no image is refused")
	}
	if w.review(Validate, pod("old.example/app:2"), pod("old.example/app")).GetRefused() == nil {
		t.Fatal("a new image is allowed")
	}
	if w.review(Validate, "null", pod("old.example/app")).GetAllowed() == nil {
		t.Fatal("a deletion is refused")
	}
}

func TestTagsBecomeTheDigestsThatTheRegistryHasAndDigestsStay(t *testing.T) {
	w := begin(t)
	pinned := w.host + "/app@" + w.digest
	answer := w.review(Resolve, pod(w.host+"/app:v1", pinned), "null")
	var patch []operation
	if err := json.Unmarshal(answer.GetAllowed().GetPatch(), &patch); err != nil {
		t.Fatal(answer, err)
	}
	want := operation{"replace", "/spec/containers/0/image", w.host + "/app:v1@" + w.digest}
	if len(patch) != 1 || patch[0] != want || answer.AuditAnnotations["resolved.c0"] != w.digest {
		t.Fatal(patch, answer.AuditAnnotations)
	}
	if _, err := name.NewDigest(patch[0].Value); err != nil {
		t.Fatal(err)
	}
	// Applied, and seen again (reinvocation): nothing is left to do.
	if again := w.review(Resolve, pod(patch[0].Value, pinned), "null"); again.GetAllowed() == nil || len(again.GetAllowed().Patch) != 0 {
		t.Fatal(again)
	}
}

func TestADigestIsRememberedForAWhileAndNoLonger(t *testing.T) {
	w := begin(t)
	now := time.Now()
	w.resolver.now = func() time.Time { return now }
	w.review(Resolve, pod(w.host+"/app:v1"), "null")
	asked := w.requests
	w.push("v1")
	w.requests = asked
	if w.review(Resolve, pod(w.host+"/app:v1"), "null"); w.requests != asked {
		t.Fatal("asked again at once")
	}
	now = now.Add(2 * time.Minute)
	answer := w.review(Resolve, pod(w.host+"/app:v1"), "null")
	if w.requests == asked || strings.Contains(string(answer.GetAllowed().GetPatch()), w.digest) {
		t.Fatal("the tag has moved, and the old digest is given")
	}
}

func TestATagThatIsNotThereIsRefusedAndARegistryThatIsNotThereDecidesNothing(t *testing.T) {
	w := begin(t)
	answer := w.review(Resolve, pod(w.host+"/app:v2"), "null")
	if answer.GetRefused().GetCode() != 422 || !strings.HasSuffix(answer.GetRefused().GetMessage(), "/app:v2: there is no such image") {
		t.Fatal(answer)
	}
	w.registry.Close()
	if answer = w.review(Resolve, pod(w.host+"/app:v3"), "null"); answer.GetUndecided().GetReason() != "RegistryUnavailable" {
		t.Fatal(answer)
	}
}

func TestNobodyMakesUsAskARegistryThatNoPolicyNames(t *testing.T) {
	w := begin(t)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	defer other.Close()
	image := strings.TrimPrefix(other.URL, "http://") + "/app:v1"
	if w.review(Resolve, pod(image), "null").GetAllowed() == nil {
		t.Fatal("not left to the validating webhook")
	}
	w.plane.policies = `{"items":[]}`
	if answer := w.review(Resolve, pod(image, w.host+"/app:v1"), "null"); len(answer.GetAllowed().GetPatch()) != 0 || w.requests != 0 {
		t.Fatal("without policies nothing is resolved")
	}
}

func TestWithoutThePoliciesNothingIsDecided(t *testing.T) {
	w := begin(t)
	w.plane.status = 403
	if answer := w.review(Validate, pod("x"), "null"); answer.GetUndecided().GetReason() != "PoliciesUnknown" {
		t.Fatal(answer)
	}
	w.plane.status = 200
	if answer := w.review("other", pod("x"), "null"); answer.GetUndecided().GetReason() != "UnknownWebhook" {
		t.Fatal(answer)
	}
}
