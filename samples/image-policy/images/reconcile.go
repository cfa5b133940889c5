package images

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	pb "gulfstream.dev/proto/delegate/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"gulfstream.dev/samples/website/session"
)

// Reconciler tells in the status of each ImagePolicy whether all of it is understood.
type Reconciler struct {
	policies dynamic.ResourceInterface
}

func NewReconciler(transport http.RoundTripper) (*Reconciler, error) {
	config := &rest.Config{Host: "http://plane", QPS: -1} // never dialled; the plane has limits of its own
	client, err := dynamic.NewForConfigAndClient(config, &http.Client{Transport: transport})
	if err != nil {
		return nil, err
	}
	return &Reconciler{policies: client.Resource(schema.GroupVersionResource{Group: Group, Version: Version, Resource: "imagepolicies"})}, nil
}

// Reconcile is a session.Handler.
func (r *Reconciler) Reconcile(ctx context.Context, request session.Request) *pb.Result {
	if request.Object == nil || !request.Matched {
		return session.Ok()
	}
	policy := &ImagePolicy{}
	if err := json.Unmarshal(request.Object, policy); err != nil {
		return session.Permanent("Unreadable", fmt.Sprintf("an ImagePolicy that this version cannot read: %v", err))
	}
	status, problems := statusOf(policy)
	if !reflect.DeepEqual(status, policy.Status) {
		if err := r.write(ctx, policy, status); err != nil {
			return failure(err)
		}
	}
	result := session.Ok()
	result.Pure = true // nothing but the policy decides
	if len(problems) > 0 && policy.Status.ObservedGeneration != policy.Generation {
		result.Events = []*pb.RecordedEvent{{Type: "Warning", Reason: "PatternInvalid", Message: strings.Join(problems, "; ")}}
	}
	return result
}

func statusOf(policy *ImagePolicy) (Status, []string) {
	understood, problems := compile(policy.Spec)
	status := Status{ObservedGeneration: policy.Generation, Patterns: len(understood)}
	status.Conditions = append(status.Conditions, policy.Status.Conditions...)
	ready := metav1.Condition{Type: ConditionReady, Status: metav1.ConditionTrue, Reason: "Enforced", ObservedGeneration: policy.Generation,
		Message: fmt.Sprintf("%d patterns allow images", len(understood))}
	if len(problems) > 0 {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "PatternInvalid", "these allow nothing: "+strings.Join(problems, "; ")
	}
	meta.SetStatusCondition(&status.Conditions, ready)
	return status, problems
}

func (r *Reconciler) write(ctx context.Context, policy *ImagePolicy, status Status) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": policy.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = r.policies.Patch(ctx, policy.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func failure(err error) *pb.Result {
	reason := string(apierrors.ReasonForError(err))
	switch {
	case apierrors.IsNotFound(err):
		return session.Skip() // deleted meanwhile
	case apierrors.IsConflict(err):
		return session.Conflict(reason, err.Error())
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return session.Permanent(reason, err.Error())
	default:
		return session.Transient(reason, err.Error())
	}
}
