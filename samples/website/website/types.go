// Package website makes a Deployment, a Service and an Ingress of each Website. It knows Kubernetes, and nothing of the
// protocol but its results.
package website

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	Group     = "samples.gulfstream.dev"
	Version   = "v1alpha1"
	Kind      = "Website"
	Finalizer = "samples.gulfstream.dev/take-offline"

	ConditionReady = "Ready"
)

var Resource = schema.GroupVersionResource{Group: Group, Version: Version, Resource: "websites"}

// Website is the custom resource of deploy/crd.yaml, which also sets the defaults.
type Website struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              Spec   `json:"spec"`
	Status            Status `json:"status,omitzero"`
}

type Spec struct {
	Image     string `json:"image"`
	Port      int32  `json:"port"`
	Replicas  int32  `json:"replicas"`
	Host      string `json:"host"`
	TLSSecret string `json:"tlsSecret,omitempty"`
}

type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	URL                string             `json:"url,omitempty"`
	AvailableReplicas  int32              `json:"availableReplicas"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

func parse(object []byte) (*Website, error) {
	site := &Website{}
	if err := json.Unmarshal(object, site); err != nil {
		return nil, fmt.Errorf("a Website that this version cannot read: %w", err)
	}
	return site, nil
}

func (w *Website) url() string {
	scheme := "http"
	if w.Spec.TLSSecret != "" {
		scheme = "https"
	}
	return scheme + "://" + w.Spec.Host + "/"
}
