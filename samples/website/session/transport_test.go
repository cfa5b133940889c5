package session

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	pb "gulfstream.dev/proto/delegate/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

var cached = metav1.GetOptions{ResourceVersion: "0"}

func clients(t *testing.T) kubernetes.Interface {
	config := &rest.Config{Host: "http://plane", ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	made, err := kubernetes.NewForConfigAndClient(config, &http.Client{Transport: Transport{}})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// inReconcile runs work as the handler of one reconcile; what it returns is the message of the Result.
func inReconcile(t *testing.T, message *pb.Reconcile, work func(context.Context, kubernetes.Interface) string) *plane {
	kube := clients(t)
	p := begin(t, func(ctx context.Context, _ Request) *pb.Result { return Transient("", work(ctx, kube)) })
	message.Id = 5
	p.reconcile(message)
	return p
}

func getConfigMap(ctx context.Context, kube kubernetes.Interface) string {
	object, err := kube.CoreV1().ConfigMaps("n").Get(ctx, "x", cached)
	if err != nil {
		return err.Error()
	}
	return object.Data["k"]
}

func (p *plane) wantResult(message string) {
	p.t.Helper()
	if got := p.hear().GetResult(); got.GetTransient().GetMessage() != message {
		p.t.Fatalf("%v is not the result %q", got, message)
	}
}

func TestARequestOfATypedClientBecomesACall(t *testing.T) {
	p := inReconcile(t, &pb.Reconcile{}, getConfigMap)
	call := p.hear().GetCall()
	if call.Reconcile != 5 || call.Method != "GET" || call.Path != "/api/v1/namespaces/n/configmaps/x" || call.Query != "resourceVersion=0" {
		t.Fatal(call)
	}
	p.answer(&pb.CallResult{Id: call.Id, Status: 200, ContentType: "application/json", Body: []byte(`{"data":{"k":"v"}}`), End: true})
	p.wantResult("v")
}

func TestAnAnswerInPartsIsOneBodyAndItsRoomIsGivenBack(t *testing.T) {
	p := inReconcile(t, &pb.Reconcile{}, getConfigMap)
	call := p.hear().GetCall()
	p.answer(&pb.CallResult{Id: call.Id, Status: 200, ContentType: "application/json", Body: []byte(`{"data":{"k"`)})
	if window := p.hear().GetWindow(); window.GetId() != call.Id || window.GetBytes() != 12 {
		t.Fatal(window)
	}
	p.answer(&pb.CallResult{Id: call.Id, Body: []byte(`:"v"}}`), End: true})
	p.wantResult("v")
}

func TestARefusalIsAnAPIErrorInThePlanesWords(t *testing.T) {
	p := inReconcile(t, &pb.Reconcile{}, func(ctx context.Context, kube kubernetes.Interface) string {
		err := kube.CoreV1().Secrets("n").Delete(ctx, "x", metav1.DeleteOptions{})
		if !apierrors.IsForbidden(err) {
			return "not an error of that kind"
		}
		return err.Error()
	})
	call := p.hear().GetCall()
	body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"add {group: \"\"} to spec.authorized"}`
	p.answer(&pb.CallResult{Id: call.Id, Status: 403, ContentType: "application/json", Body: []byte(body), End: true})
	p.wantResult(`add {group: ""} to spec.authorized`)
}

func TestAnApplyGoesAsJSON(t *testing.T) {
	p := inReconcile(t, &pb.Reconcile{}, func(ctx context.Context, kube kubernetes.Interface) string {
		_, err := kube.CoreV1().ConfigMaps("n").Apply(ctx, coreac.ConfigMap("x", "n"), metav1.ApplyOptions{Force: true})
		return errors.Join(err, errors.New("done")).Error()
	})
	call := p.hear().GetCall()
	if call.Method != "PATCH" || call.ContentType != "application/apply-patch+yaml" || call.Query != "force=true" ||
		!strings.HasPrefix(string(call.Body), "{") {
		t.Fatal(call)
	}
	p.answer(&pb.CallResult{Id: call.Id, Status: 200, ContentType: "application/json", Body: []byte(`{}`), End: true})
	p.wantResult("done")
}

func TestWhatCameAlongIsReadWithoutACallUntilItIsWritten(t *testing.T) {
	resource := &pb.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	message := &pb.Reconcile{Prefetched: []*pb.Prefetched{
		{Resource: resource, Namespace: "n", Name: "x", Object: []byte(`{"data":{"k":"prefetched"}}`)},
		{Resource: resource, Namespace: "n", Name: "none", Absent: true}}}
	p := inReconcile(t, message, func(ctx context.Context, kube kubernetes.Interface) string {
		maps := kube.CoreV1().ConfigMaps("n")
		if _, err := maps.Get(ctx, "none", cached); !apierrors.IsNotFound(err) {
			return "the absent object is there"
		}
		before := getConfigMap(ctx, kube)
		_ = maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		return before + " then " + getConfigMap(ctx, kube)
	})
	call := p.hear().GetCall()
	if call.Method != "DELETE" {
		t.Fatal(call)
	}
	p.answer(&pb.CallResult{Id: call.Id, Status: 200, ContentType: "application/json", Body: []byte(`{}`), End: true})
	call = p.hear().GetCall()
	p.answer(&pb.CallResult{Id: call.Id, Status: 200, ContentType: "application/json", Body: []byte(`{"data":{"k":"live"}}`), End: true})
	p.wantResult("prefetched then live")
}

func TestACancelledReconcileEndsItsCall(t *testing.T) {
	p := inReconcile(t, &pb.Reconcile{}, getConfigMap)
	call := p.hear().GetCall()
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Cancel{Cancel: &pb.Cancel{Id: 5}}}
	cancelled, result := p.hear(), p.hear()
	if cancelled.GetResult() != nil { // either may be first
		cancelled, result = result, cancelled
	}
	if cancelled.GetCancelCall().GetId() != call.Id || !strings.Contains(result.GetResult().GetTransient().GetMessage(), "canceled") {
		t.Fatal(cancelled, result)
	}
	p.answer(&pb.CallResult{Id: call.Id, Status: 200, Body: []byte("{}"), End: true}) // too late, and harmless
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Ping{Ping: &pb.Ping{}}}
	if p.hear().GetPing() == nil {
		t.Fatal("the session does not live on")
	}
}

func TestARequestOutsideOfAReconcileIsAnError(t *testing.T) {
	_, err := clients(t).CoreV1().ConfigMaps("n").Get(t.Context(), "x", cached)
	if !errors.Is(err, errNoReconcile) {
		t.Fatal(err)
	}
}
