package website

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
)

// server is an API server in a map, as far as the reconciler can tell.
type server struct {
	objects map[string]map[string]any // by path
	writes  []string                  // "METHOD path"
	fail    map[string]string         // "METHOD path" to the reason of a failure
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.TrimSuffix(r.URL.Path, "/status")
	request := r.Method + " " + r.URL.Path
	if r.Method != http.MethodGet {
		s.writes = append(s.writes, request)
	}
	if reason := s.fail[request]; reason != "" {
		code := map[string]int{"Conflict": 409, "Invalid": 422, "Forbidden": 403}[reason]
		return reply(code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}), nil
	}
	object := s.objects[path]
	switch r.Method {
	case http.MethodPatch:
		var patch map[string]any
		if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
			return nil, err
		}
		if object == nil {
			object = map[string]any{"metadata": map[string]any{"uid": "u" + fmt.Sprint(len(s.objects))}}
		}
		merge(object, patch)
		s.objects[path] = object
	case http.MethodDelete:
		delete(s.objects, path)
	case http.MethodGet:
		if r.URL.RawQuery != "resourceVersion=0" {
			return nil, fmt.Errorf("%s?%s does not read from the cache", request, r.URL.RawQuery)
		}
	}
	if object == nil {
		return reply(404, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}), nil
	}
	return reply(200, object), nil
}

func merge(into, patch map[string]any) {
	for name, value := range patch {
		have, isMap := into[name].(map[string]any)
		if change, ok := value.(map[string]any); ok && isMap {
			merge(have, change)
		} else {
			into[name] = value
		}
	}
}

func reply(code int, object map[string]any) *http.Response {
	body, _ := json.Marshal(object)
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(body)))}
}

func (s *server) paths() []string {
	var out []string
	for path := range maps.Keys(s.objects) {
		out = append(out, path)
	}
	return out
}
