// Package session is one stream of the delegate protocol: who says what when. It knows nothing of what is reconciled.
package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	pb "gulfstream.dev/proto/delegate/v1"
)

const protocolVersion = 1

// Stream is pb.Delegate_SessionServer as far as it is needed here.
type Stream interface {
	Context() context.Context
	Send(*pb.DelegateMessage) error
	Recv() (*pb.PlaneMessage, error)
}

// Request is one key to reconcile.
type Request struct {
	Pair            *pb.Open
	Namespace, Name string
	Object          []byte // the primary, raw JSON; nil where it does not exist
	Matched         bool   // it satisfies spec.primary.match
}

// Handler decides. Kubernetes clients whose transport is a Transport work with its ctx. The result's id is filled in.
type Handler func(ctx context.Context, request Request) *pb.Result

// Session serves one stream. All methods may be called from any goroutine.
type Session struct {
	stream  Stream
	hello   *pb.Hello
	handler Handler
	admit   Admit      // nil: this delegate serves no webhooks
	sending sync.Mutex // gRPC wants one Send at a time
	work    sync.WaitGroup

	mu       sync.Mutex
	pairs    map[uint32]*pb.Open
	running  map[uint64]context.CancelFunc // reconciles and reviews: their ids are of one row
	reviews  uint32                        // of these
	calls    map[uint64]*answer
	lastCall uint64
}

func New(stream Stream, hello *pb.Hello, handler Handler) *Session {
	hello.ProtocolVersion = protocolVersion
	return &Session{
		stream: stream, hello: hello, handler: handler,
		pairs: map[uint32]*pb.Open{}, running: map[uint64]context.CancelFunc{}, calls: map[uint64]*answer{},
	}
}

// Run serves until the plane ends the stream (nil) or it breaks. When it returns no handler runs any more.
func (s *Session) Run() error {
	ctx, stop := context.WithCancelCause(s.stream.Context())
	defer s.work.Wait()
	defer stop(errors.New("the stream has ended"))
	for {
		message, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = s.receive(ctx, message)
		}
		if err != nil {
			return err
		}
	}
}

// Drain asks for nothing new. The plane waits for what is in flight, then ends the stream.
func (s *Session) Drain(why string) {
	_ = s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Drain{Drain: &pb.Drain{Why: why}}}) // a dead stream needs no drain
}

func (s *Session) send(message *pb.DelegateMessage) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.stream.Send(message)
}

func (s *Session) receive(ctx context.Context, message *pb.PlaneMessage) error {
	switch m := message.Message.(type) {
	case *pb.PlaneMessage_Hello:
		if m.Hello.ProtocolVersion < protocolVersion {
			return status.Errorf(codes.FailedPrecondition, "protocol version %d is not supported", m.Hello.ProtocolVersion)
		}
		slog.Info("session", "plane", m.Hello.Identity)
		return s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Hello{Hello: s.hello}})
	case *pb.PlaneMessage_Open:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pairs[m.Open.Pair] = m.Open
	case *pb.PlaneMessage_Close:
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pairs, m.Close.Pair)
	case *pb.PlaneMessage_Reconcile:
		return s.start(ctx, m.Reconcile)
	case *pb.PlaneMessage_Admit:
		return s.startReview(ctx, m.Admit)
	case *pb.PlaneMessage_CallResult:
		s.mu.Lock()
		call := s.calls[m.CallResult.Id]
		s.mu.Unlock()
		if call != nil {
			call.add(m.CallResult)
		}
	case *pb.PlaneMessage_Cancel:
		s.mu.Lock()
		defer s.mu.Unlock()
		if cancel := s.running[m.Cancel.Id]; cancel != nil {
			cancel()
		}
	case *pb.PlaneMessage_Ping:
		return s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Ping{Ping: m.Ping}})
	}
	// Config: this delegate has none. Drain: the plane ends the stream itself. Others: of a newer plane.
	return nil
}

func (s *Session) start(ctx context.Context, message *pb.Reconcile) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pair := s.pairs[message.Pair]
	if pair == nil || len(s.running)-int(s.reviews) >= int(s.hello.MaxInFlight) {
		return status.Errorf(codes.FailedPrecondition, "reconcile %d: pair %d is not open, or more than %d at once",
			message.Id, message.Pair, s.hello.MaxInFlight)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline(message))
	ctx = context.WithValue(ctx, attemptKey{}, &attempt{session: s, reconcile: message.Id, known: prefetched(message)})
	s.running[message.Id] = cancel
	s.work.Go(func() {
		result := s.decide(ctx, request(pair, message))
		result.Id = message.Id
		cancel()
		s.mu.Lock()
		delete(s.running, message.Id)
		s.mu.Unlock()
		_ = s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Result{Result: result}}) // Run sees a broken stream
	})
	return nil
}

// A defect of the handler must cost its key a retry, not all keys the process.
func (s *Session) decide(ctx context.Context, r Request) (result *pb.Result) {
	defer func() {
		if defect := recover(); defect != nil {
			slog.Error("panic", "cluster", r.Pair.Cluster.GetName(), "namespace", r.Namespace, "name", r.Name, "what", defect)
			result = Transient("Panic", fmt.Sprint(defect))
		}
	}()
	return s.handler(ctx, r)
}

func deadline(message *pb.Reconcile) time.Duration {
	if message.DeadlineMs == 0 {
		return time.Hour
	}
	return time.Duration(message.DeadlineMs) * time.Millisecond
}

func request(pair *pb.Open, message *pb.Reconcile) Request {
	r := Request{Pair: pair, Namespace: message.Namespace, Name: message.Name}
	switch primary := message.Primary.(type) {
	case *pb.Reconcile_Object:
		r.Object, r.Matched = primary.Object, true
	case *pb.Reconcile_Unmatched:
		r.Object = primary.Unmatched.Object
	}
	return r
}

// prefetched is what a cached GET of these paths would be answered with; nil for an object that is absent.
func prefetched(message *pb.Reconcile) map[string][]byte {
	out := map[string][]byte{}
	for _, read := range message.Prefetched {
		root := "/api/" + read.Resource.Version
		if read.Resource.Group != "" {
			root = "/apis/" + read.Resource.Group + "/" + read.Resource.Version
		}
		if read.Namespace != "" {
			root += "/namespaces/" + url.PathEscape(read.Namespace)
		}
		path := root + "/" + read.Resource.Resource + "/" + url.PathEscape(read.Name)
		out[path] = read.Object
		if read.Absent {
			out[path] = nil
		}
	}
	return out
}

// Ok, Skip, Transient and the others are results without an id.
func Ok() *pb.Result   { return &pb.Result{Outcome: &pb.Result_Ok{Ok: &pb.Ok{}}} }
func Skip() *pb.Result { return &pb.Result{Outcome: &pb.Result_Skip{Skip: &pb.Skip{}}} }

func Transient(reason, message string) *pb.Result {
	return &pb.Result{Outcome: &pb.Result_Transient{Transient: &pb.Failure{Reason: reason, Message: message}}}
}

func Permanent(reason, message string) *pb.Result {
	return &pb.Result{Outcome: &pb.Result_Permanent{Permanent: &pb.Failure{Reason: reason, Message: message}}}
}

func Conflict(reason, message string) *pb.Result {
	return &pb.Result{Outcome: &pb.Result_Conflict{Conflict: &pb.Failure{Reason: reason, Message: message}}}
}
