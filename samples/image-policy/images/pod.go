package images

import (
	"encoding/json"
	"fmt"
)

// container is a place in a Pod where an image is named.
type container struct {
	Pointer string // of the image, as JSONPatch writes it
	Name    string
	Image   string
}

// podContainers are all places where a Pod names images.
func podContainers(object []byte) ([]container, error) {
	type named struct{ Name, Image string }
	var pod struct {
		Spec struct {
			InitContainers, Containers, EphemeralContainers []named
		}
	}
	if err := json.Unmarshal(object, &pod); err != nil {
		return nil, fmt.Errorf("the Pod cannot be read: %w", err)
	}
	var out []container
	for field, list := range map[string][]named{"initContainers": pod.Spec.InitContainers, "containers": pod.Spec.Containers,
		"ephemeralContainers": pod.Spec.EphemeralContainers} {
		for i, c := range list {
			out = append(out, container{Pointer: fmt.Sprintf("/spec/%s/%d/image", field, i), Name: c.Name, Image: c.Image})
		}
	}
	return out, nil
}

// changed leaves out what the old object had in the same place: a policy that became stricter must not keep an existing Pod
// from being labelled, or from losing its finalizers.
func changed(now, before []container) []container {
	old := map[string]string{}
	for _, c := range before {
		old[c.Pointer] = c.Image
	}
	var out []container
	for _, c := range now {
		if image, known := old[c.Pointer]; !known || image != c.Image {
			out = append(out, c)
		}
	}
	return out
}
