package website

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	pb "gulfstream.dev/proto/delegate/v1"

	"gulfstream.dev/samples/website/session"
)

const (
	sitePath       = "/apis/samples.gulfstream.dev/v1alpha1/namespaces/n/websites/hello"
	deploymentPath = "/apis/apps/v1/namespaces/n/deployments/hello"
	servicePath    = "/api/v1/namespaces/n/services/hello"
	ingressPath    = "/apis/networking.k8s.io/v1/namespaces/n/ingresses/hello"
)

type object = map[string]any

type world struct {
	*server
	t          *testing.T
	reconciler *Reconciler
}

func newWorld(t *testing.T) *world {
	s := &server{fail: map[string]string{}, objects: map[string]object{sitePath: {
		"apiVersion": Group + "/" + Version, "kind": Kind,
		"metadata": object{"name": "hello", "namespace": "n", "uid": "site-uid", "generation": 1, "resourceVersion": "5"},
		"spec":     object{"image": "nginx", "port": 8080, "replicas": 2, "host": "hello.example.com"}}}}
	reconciler, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return &world{s, t, reconciler}
}

func (w *world) reconcile() *pb.Result {
	w.writes = nil
	raw, err := json.Marshal(w.objects[sitePath])
	if err != nil {
		w.t.Fatal(err)
	}
	return w.reconciler.Reconcile(w.t.Context(), session.Request{Namespace: "n", Name: "hello", Object: raw, Matched: true})
}

func (w *world) site() *Website {
	raw, _ := json.Marshal(w.objects[sitePath])
	site, err := parse(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return site
}

func (w *world) setAvailable(replicas int) {
	w.objects[deploymentPath]["status"] = object{"availableReplicas": replicas, "observedGeneration": 1}
}

func TestAWebsiteBecomesThreeChildrenThatItOwns(t *testing.T) {
	w := newWorld(t)
	if r := w.reconcile(); r.GetOk() == nil || !r.Pure {
		t.Fatal(r)
	}
	for _, path := range []string{deploymentPath, servicePath, ingressPath} {
		owner := w.objects[path]["metadata"].(object)["ownerReferences"].([]any)[0].(object)
		if owner["uid"] != "site-uid" || owner["controller"] != true {
			t.Errorf("%s is owned by %v", path, owner)
		}
	}
	if site := w.site(); !slices.Contains(site.Finalizers, Finalizer) || site.Status.URL != "http://hello.example.com/" || isReady(site.Status) {
		t.Errorf("%+v", site)
	}
	if first := w.writes[0]; first != "PATCH "+sitePath {
		t.Errorf("%s came before the finalizer", first)
	}
}

func TestItIsReadyWhenAllReplicasAreAndSaysSoOnce(t *testing.T) {
	w := newWorld(t)
	w.reconcile()
	w.setAvailable(1)
	if r := w.reconcile(); isReady(w.site().Status) || len(r.Events) != 0 {
		t.Fatal(r)
	}
	w.setAvailable(2)
	if r := w.reconcile(); !isReady(w.site().Status) || len(r.Events) != 1 || r.Events[0].Reason != "Published" {
		t.Fatal(r)
	}
	since := w.site().Status.Conditions[0].LastTransitionTime
	if r := w.reconcile(); len(r.Events) != 0 || slices.Contains(w.writes, "PATCH "+sitePath+"/status") {
		t.Fatal(r, w.writes)
	}
	if !since.Equal(&w.site().Status.Conditions[0].LastTransitionTime) {
		t.Error("the condition's time moved")
	}
}

func TestASecretForTLSMakesItHTTPS(t *testing.T) {
	w := newWorld(t)
	w.objects[sitePath]["spec"].(object)["tlsSecret"] = "cert"
	w.reconcile()
	tls := w.objects[ingressPath]["spec"].(object)["tls"].([]any)[0].(object)
	if tls["secretName"] != "cert" || w.site().Status.URL != "https://hello.example.com/" {
		t.Fatal(tls, w.site().Status.URL)
	}
}

func TestWhatBelongsToSomebodyElseIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.objects[servicePath] = object{"metadata": object{"name": "hello", "uid": "other"}}
	r := w.reconcile()
	if r.GetPermanent().GetReason() != "NameTaken" || len(r.Events) != 1 || r.Events[0].Type != "Warning" {
		t.Fatal(r)
	}
	if !slices.Equal(w.writes, []string{"PATCH " + sitePath + "/status"}) {
		t.Fatal(w.writes)
	}
	if condition := w.site().Status.Conditions[0]; !strings.HasPrefix(condition.Message, `Service "hello" exists`) {
		t.Fatal(condition)
	}
}

func TestADeletedWebsiteGoesOfflineInOrderAndThenGoes(t *testing.T) {
	w := newWorld(t)
	w.reconcile()
	meta := w.objects[sitePath]["metadata"].(object)
	meta["deletionTimestamp"] = "2030-01-01T00:00:00Z"
	meta["finalizers"] = append(meta["finalizers"].([]any), "someone.else/finalizer")
	if r := w.reconcile(); r.GetOk() == nil {
		t.Fatal(r)
	}
	want := []string{"DELETE " + ingressPath, "DELETE " + servicePath, "DELETE " + deploymentPath, "PATCH " + sitePath}
	if !slices.Equal(w.writes, want) {
		t.Fatal(w.writes)
	}
	if got := w.site().Finalizers; !slices.Equal(got, []string{"someone.else/finalizer"}) {
		t.Fatal(got)
	}
	if r := w.reconcile(); r.GetOk() == nil || len(w.writes) != 0 {
		t.Fatal(r, w.writes)
	}
}

func TestADeletedWebsiteLeavesOthersChildren(t *testing.T) {
	w := newWorld(t)
	w.reconcile()
	w.objects[servicePath] = object{"metadata": object{"name": "hello", "uid": "other"}}
	w.objects[sitePath]["metadata"].(object)["deletionTimestamp"] = "2030-01-01T00:00:00Z"
	w.reconcile()
	if got := w.paths(); len(got) != 2 || !slices.Contains(got, servicePath) {
		t.Fatal(got)
	}
}

func TestGoneNeedsNothing(t *testing.T) {
	w := newWorld(t)
	if r := w.reconciler.Reconcile(t.Context(), session.Request{Name: "hello"}); r.GetOk() == nil {
		t.Fatal(r)
	}
}

func TestFailuresOfTheAPIServerBecomeResults(t *testing.T) {
	w := newWorld(t)
	w.fail["PATCH "+deploymentPath] = "Conflict"
	if r := w.reconcile(); r.GetConflict() == nil || r.Pure {
		t.Error(r)
	}
	w.fail["PATCH "+deploymentPath] = "Invalid"
	if r := w.reconcile(); r.GetPermanent().GetReason() != "Invalid" {
		t.Error(r)
	}
	w.fail["PATCH "+deploymentPath] = "Forbidden"
	if r := w.reconcile(); r.GetTransient().GetReason() != "Forbidden" {
		t.Error(r)
	}
}
