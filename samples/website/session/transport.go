package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	pb "gulfstream.dev/proto/delegate/v1"
)

// Transport turns the requests of a Kubernetes client into Calls of the session. It is for every session, reconcile and
// review: the request's context, which a Handler or an Admit was given, says which.
type Transport struct{}

type attemptKey struct{}

// attempt is one reconcile or one review, as requests see it.
type attempt struct {
	session           *Session
	reconcile, review uint64 // one of them is 0

	mu    sync.Mutex
	known map[string][]byte // prefetched, until something is written there
}

var errNoReconcile = errors.New("no reconcile or review in this context: Kubernetes is reached through the plane, with the context that the handler got")

// RoundTrip returns when the first part of the answer is there; the body streams the others.
func (Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	at, ok := r.Context().Value(attemptKey{}).(*attempt)
	if !ok {
		return nil, errNoReconcile
	}
	var body []byte
	if r.Body != nil {
		defer r.Body.Close()
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	if answered := at.fromPrefetched(r); answered != nil {
		return answered, nil
	}
	return at.session.call(r, &pb.Call{
		Reconcile: at.reconcile, Review: at.review, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		ContentType: r.Header.Get("Content-Type"), Accept: r.Header.Get("Accept"), Body: body,
	})
}

// fromPrefetched answers a GET that any version will do for with what came along. A write makes it forget.
func (a *attempt) fromPrefetched(r *http.Request) *http.Response {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method != http.MethodGet {
		// By prefix: of the object itself, its subresources, and (deletecollection) its collection.
		for path := range a.known {
			if strings.HasPrefix(path, r.URL.EscapedPath()) || strings.HasPrefix(r.URL.EscapedPath(), path) {
				delete(a.known, path)
			}
		}
		return nil
	}
	object, known := a.known[r.URL.EscapedPath()]
	if !known || r.URL.RawQuery != "resourceVersion=0" {
		return nil
	}
	if object == nil {
		notFound := `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"NotFound","code":404}`
		return response(r, http.StatusNotFound, "application/json", io.NopCloser(strings.NewReader(notFound)))
	}
	return response(r, http.StatusOK, "application/json", io.NopCloser(bytes.NewReader(object)))
}

func (s *Session) call(r *http.Request, call *pb.Call) (*http.Response, error) {
	got := &answer{session: s, started: make(chan struct{})}
	got.more.L = &got.mu
	s.mu.Lock()
	s.lastCall++
	call.Id, got.id = s.lastCall, s.lastCall
	s.calls[call.Id] = got
	s.mu.Unlock()
	// The context may end while the body is read, long after this returned; or at once, therefore the lock.
	got.mu.Lock()
	got.unwatch = context.AfterFunc(r.Context(), func() { got.abandon(context.Cause(r.Context())) })
	got.mu.Unlock()
	if err := s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Call{Call: call}}); err != nil {
		got.abandon(err)
	}
	<-got.started
	got.mu.Lock()
	defer got.mu.Unlock()
	if got.first == nil {
		return nil, fmt.Errorf("%s %s: %w", call.Method, call.Path, got.err)
	}
	out := response(r, int(got.first.Status), got.first.ContentType, got)
	for _, warning := range got.first.Warnings {
		out.Header.Add("Warning", fmt.Sprintf("299 - %q", warning))
	}
	return out, nil
}

func response(r *http.Request, code int, contentType string, body io.ReadCloser) *http.Response {
	return &http.Response{
		StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: http.Header{"Content-Type": {contentType}}, Body: body, ContentLength: -1, Request: r,
	}
}

// answer is the body of a response whose parts come in from the session. What it holds is bounded by the call's window,
// which the plane gets back as it is read.
type answer struct {
	session *Session
	id      uint64
	started chan struct{} // closed when there is a first part or an error
	unwatch func() bool

	mu    sync.Mutex
	more  sync.Cond
	first *pb.CallResult
	data  bytes.Buffer
	err   error // io.EOF after the last part
}

func (a *answer) add(part *pb.CallResult) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return
	}
	if a.first == nil {
		a.first = part
		close(a.started)
	}
	a.data.Write(part.Body)
	if part.End {
		a.finish(io.EOF)
	}
	a.more.Broadcast()
}

// finish is called with mu held.
func (a *answer) finish(err error) {
	a.err = err
	a.unwatch()
	a.session.mu.Lock()
	delete(a.session.calls, a.id)
	a.session.mu.Unlock()
}

// abandon tells the plane that nobody wants the answer any more.
func (a *answer) abandon(why error) {
	a.mu.Lock()
	open := a.err == nil
	if open {
		a.finish(why)
		if a.first == nil {
			close(a.started)
		}
		a.more.Broadcast()
	}
	a.mu.Unlock()
	if open {
		_ = a.session.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_CancelCall{CancelCall: &pb.CancelCall{Id: a.id}}})
	}
}

func (a *answer) Read(p []byte) (int, error) {
	a.mu.Lock()
	for a.data.Len() == 0 && a.err == nil {
		a.more.Wait()
	}
	n, _ := a.data.Read(p)
	err, open := a.err, a.err == nil
	a.mu.Unlock()
	if n == 0 && len(p) > 0 {
		return 0, err
	}
	if open && n > 0 {
		err = a.session.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Window{Window: &pb.Window{Id: a.id, Bytes: uint32(n)}}})
		return n, err
	}
	return n, nil
}

func (a *answer) Close() error {
	a.abandon(http.ErrBodyReadAfterClose)
	return nil
}
