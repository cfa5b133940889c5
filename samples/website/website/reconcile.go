package website

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	pb "gulfstream.dev/proto/delegate/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"gulfstream.dev/samples/website/session"
)

// Reconciler has ordinary clients. They serve all clusters: the context of a call says which.
type Reconciler struct {
	clients kubernetes.Interface
	sites   dynamic.NamespaceableResourceInterface
}

// New makes the clients over a transport that turns requests into Calls.
func New(transport http.RoundTripper) (*Reconciler, error) {
	config := &rest.Config{
		Host: "http://plane", // never dialled
		// Answers come in JSON; since client-go 0.32 typed clients would send protobuf otherwise.
		ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON, AcceptContentTypes: runtime.ContentTypeJSON},
		QPS:           -1, // the plane and the API server have limits of their own
	}
	client := &http.Client{Transport: transport}
	clients, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	dynamicClient, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	return &Reconciler{clients: clients, sites: dynamicClient.Resource(Resource)}, nil
}

// Reconcile is a session.Handler.
func (r *Reconciler) Reconcile(ctx context.Context, request session.Request) *pb.Result {
	if request.Object == nil {
		return session.Ok() // gone; the finalizer saw to the rest
	}
	site, err := parse(request.Object)
	if err != nil {
		return session.Permanent("Unreadable", err.Error())
	}
	var events []*pb.RecordedEvent
	switch {
	case site.DeletionTimestamp != nil || !request.Matched:
		err = r.takeOffline(ctx, site)
	default:
		events, err = r.publish(ctx, site)
	}
	result := resultOf(err)
	result.Events = events
	result.Pure = err == nil // nothing but the Website and what was read decides
	return result
}

func (r *Reconciler) publish(ctx context.Context, site *Website) ([]*pb.RecordedEvent, error) {
	if taken, err := r.taken(ctx, site); err != nil || taken != "" {
		return r.refuse(ctx, site, taken, err)
	}
	if err := r.setFinalizer(ctx, site, true); err != nil {
		return nil, err
	}
	// No field manager: the plane puts in the Controller's.
	force := metav1.ApplyOptions{Force: true}
	deployment, err := r.clients.AppsV1().Deployments(site.Namespace).Apply(ctx, site.deployment(), force)
	if err != nil {
		return nil, err
	}
	if _, err := r.clients.CoreV1().Services(site.Namespace).Apply(ctx, site.service(), force); err != nil {
		return nil, err
	}
	if _, err := r.clients.NetworkingV1().Ingresses(site.Namespace).Apply(ctx, site.ingress(), force); err != nil {
		return nil, err
	}
	ready := readiness(site, deployment)
	wasReady := isReady(site.Status)
	status := statusOf(site, deployment.Status.AvailableReplicas, ready)
	if err := r.writeStatus(ctx, site, status); err != nil || wasReady || ready.Status != metav1.ConditionTrue {
		return nil, err
	}
	return []*pb.RecordedEvent{{Type: corev1.EventTypeNormal, Reason: "Published", Message: "serving " + status.URL}}, nil
}

// taken says which child's name belongs to somebody else. The reads are of the plane's cache and cost the cluster nothing.
func (r *Reconciler) taken(ctx context.Context, site *Website) (string, error) {
	children, err := r.children(ctx, site)
	if err != nil {
		return "", err
	}
	for _, child := range children {
		if !metav1.IsControlledBy(child.object, site) {
			return child.kind, nil
		}
	}
	return "", nil
}

// refuse keeps hands off what is not ours and says so. It is retried when that changes: the read of it is a trigger only for
// `relationship: Reference`, so the resync, or a change of the Website, finds out.
func (r *Reconciler) refuse(ctx context.Context, site *Website, kind string, err error) ([]*pb.RecordedEvent, error) {
	if err != nil {
		return nil, err
	}
	message := fmt.Sprintf("%s %q exists and is not this Website's; delete it or choose another name", kind, site.Name)
	condition := metav1.Condition{Type: ConditionReady, Status: metav1.ConditionFalse, Reason: "NameTaken", Message: message}
	if err := r.writeStatus(ctx, site, statusOf(site, 0, condition)); err != nil {
		return nil, err
	}
	return []*pb.RecordedEvent{{Type: corev1.EventTypeWarning, Reason: condition.Reason, Message: message}}, permanent{condition.Reason, message}
}

// takeOffline removes the children in the order in which traffic should notice, then the finalizer.
func (r *Reconciler) takeOffline(ctx context.Context, site *Website) error {
	children, err := r.children(ctx, site)
	if err != nil {
		return err
	}
	for _, child := range children {
		if !metav1.IsControlledBy(child.object, site) {
			continue
		}
		uid, background := child.object.GetUID(), metav1.DeletePropagationBackground
		options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background}
		if err := child.remove(ctx, site.Name, options); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return r.setFinalizer(ctx, site, false)
}

type child struct {
	kind   string
	object metav1.Object
	remove func(context.Context, string, metav1.DeleteOptions) error
}

// children are those that exist, Ingress first.
func (r *Reconciler) children(ctx context.Context, site *Website) ([]child, error) {
	ingresses := r.clients.NetworkingV1().Ingresses(site.Namespace)
	services := r.clients.CoreV1().Services(site.Namespace)
	deployments := r.clients.AppsV1().Deployments(site.Namespace)
	cached := metav1.GetOptions{ResourceVersion: "0"}
	var out []child
	var failures []error
	add := func(kind string, object metav1.Object, err error, remove func(context.Context, string, metav1.DeleteOptions) error) {
		if err == nil {
			out = append(out, child{kind, object, remove})
		} else if !apierrors.IsNotFound(err) {
			failures = append(failures, err)
		}
	}
	ingress, err := ingresses.Get(ctx, site.Name, cached)
	add("Ingress", ingress, err, ingresses.Delete)
	service, err := services.Get(ctx, site.Name, cached)
	add("Service", service, err, services.Delete)
	deployment, err := deployments.Get(ctx, site.Name, cached)
	add("Deployment", deployment, err, deployments.Delete)
	return out, errors.Join(failures...)
}

// setFinalizer is a merge patch at the version that we saw: a list is replaced as a whole, so another's change must conflict.
// (An apply would need the right to create Websites, which no Controller has on its primary.)
func (r *Reconciler) setFinalizer(ctx context.Context, site *Website, present bool) error {
	if slices.Contains(site.Finalizers, Finalizer) == present {
		return nil
	}
	finalizers := slices.DeleteFunc(slices.Clone(site.Finalizers), func(f string) bool { return f == Finalizer })
	if present {
		finalizers = append(finalizers, Finalizer)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": site.UID, "resourceVersion": site.ResourceVersion, "finalizers": finalizers}})
	if err != nil {
		return err
	}
	_, err = r.sites.Namespace(site.Namespace).Patch(ctx, site.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

func readiness(site *Website, deployment *appsv1.Deployment) metav1.Condition {
	current := deployment.Status.ObservedGeneration >= deployment.Generation
	available := deployment.Status.AvailableReplicas
	condition := metav1.Condition{Type: ConditionReady, Status: metav1.ConditionFalse, Reason: "WaitingForReplicas",
		Message: fmt.Sprintf("%d of %d replicas are available", available, site.Spec.Replicas)}
	if current && available >= site.Spec.Replicas {
		condition.Status, condition.Reason = metav1.ConditionTrue, "Available"
	}
	return condition
}
