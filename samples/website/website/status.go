package website

import (
	"context"
	"encoding/json"
	"reflect"

	pb "gulfstream.dev/proto/delegate/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"gulfstream.dev/samples/website/session"
)

// permanent is a failure that only a change can mend.
type permanent struct{ reason, message string }

func (p permanent) Error() string { return p.message }

// statusOf is the status as it should be; a condition that does not change keeps its time.
func statusOf(site *Website, available int32, ready metav1.Condition) Status {
	status := Status{ObservedGeneration: site.Generation, URL: site.url(), AvailableReplicas: available}
	status.Conditions = append(status.Conditions, site.Status.Conditions...)
	ready.ObservedGeneration = site.Generation
	meta.SetStatusCondition(&status.Conditions, ready)
	return status
}

func isReady(status Status) bool {
	return meta.IsStatusConditionTrue(status.Conditions, ConditionReady)
}

// writeStatus writes only what is new: each write is an event for everybody who watches.
func (r *Reconciler) writeStatus(ctx context.Context, site *Website, status Status) error {
	if reflect.DeepEqual(status, site.Status) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": site.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = r.sites.Namespace(site.Namespace).Patch(ctx, site.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func resultOf(err error) *pb.Result {
	reason := string(apierrors.ReasonForError(err))
	final, isFinal := err.(permanent)
	switch {
	case err == nil:
		return session.Ok()
	case isFinal:
		return session.Permanent(final.reason, final.message)
	case apierrors.IsConflict(err):
		return session.Conflict(reason, err.Error())
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return session.Permanent(reason, err.Error())
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return session.Skip() // the Website goes too, and then comes again
	default:
		// 403 too: permissions are granted later than they are needed. 504 UnknownOutcome: the next attempt finds out.
		return session.Transient(reason, err.Error())
	}
}
