package images

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"gulfstream.dev/samples/website/session"
)

// server takes status patches.
type server struct {
	paths  []string
	status Status
	code   int
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	var patch struct{ Status Status }
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		return nil, err
	}
	s.paths = append(s.paths, r.Method+" "+r.URL.Path)
	s.status = patch.Status
	body := `{"kind":"ImagePolicy","apiVersion":"samples.gulfstream.dev/v1alpha1","metadata":{"name":"p"}}`
	if s.code >= 400 {
		body = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409}`
	}
	return &http.Response{StatusCode: s.code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func reconcile(t *testing.T, s *server, allow string, status any) (ok bool, conflict bool, warned bool) {
	r, err := NewReconciler(s)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := json.Marshal(status)
	object := `{"metadata":{"name":"p","uid":"u","generation":3},"spec":{"allow":[` + allow + `]},"status":` + string(old) + `}`
	result := r.Reconcile(t.Context(), session.Request{Name: "p", Object: []byte(object), Matched: true})
	return result.GetOk() != nil, result.GetConflict() != nil, len(result.Events) == 1
}

func TestTheStatusSaysWhatIsUnderstoodAndIsWrittenOnce(t *testing.T) {
	s := &server{code: 200}
	if ok, _, warned := reconcile(t, s, `"nginx","redis"`, Status{}); !ok || warned {
		t.Fatal("not ok, or a warning")
	}
	ready := s.status.Conditions[0]
	if s.status.Patterns != 2 || s.status.ObservedGeneration != 3 || ready.Status != "True" || ready.Reason != "Enforced" {
		t.Fatal(s.status)
	}
	if strings.Join(s.paths, ",") != "PATCH /apis/samples.gulfstream.dev/v1alpha1/imagepolicies/p/status" {
		t.Fatal(s.paths)
	}
	if ok, _, _ := reconcile(t, s, `"nginx","redis"`, s.status); !ok || len(s.paths) != 1 {
		t.Fatal("written again")
	}
}

func TestAPatternThatIsNotUnderstoodIsSaidInStatusAndEvent(t *testing.T) {
	s := &server{code: 200}
	ok, _, warned := reconcile(t, s, `"nginx","*.bad/x"`, Status{})
	ready := s.status.Conditions[0]
	if !ok || !warned || s.status.Patterns != 1 || ready.Status != "False" || !strings.Contains(ready.Message, "the registry must be named in full") {
		t.Fatal(s.status)
	}
	if _, _, again := reconcile(t, s, `"nginx","*.bad/x"`, s.status); again {
		t.Fatal("warned of it twice")
	}
}

func TestAConflictIsTriedAgain(t *testing.T) {
	if _, conflict, _ := reconcile(t, &server{code: 409}, `"nginx"`, Status{}); !conflict {
		t.Fatal("no conflict")
	}
}
