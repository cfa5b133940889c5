// interop is a delegate on stock grpc-go whose server is as strict, short-lived or odd as its flags say. For each
// ConfigMap it lists the ConfigMaps of the key's namespace and prints which version of the key's object it was sent.
// It serves webhooks too (reviews.go).
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // takes and gives compressed messages
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	pb "gulfstream.dev/proto/delegate/v1"
)

const maxInFlight = 16

var (
	address  = flag.String("address", "127.0.0.1:0", "where to serve")
	minTime  = flag.Duration("min-time", 0, "a client that pings more often is sent away, too_many_pings (default: grpc-go's)")
	maxAge   = flag.Duration("max-age", 0, "connections get GOAWAY at this age (default: none)")
	maxGrace = flag.Duration("max-age-grace", 0, "and are cut so long after it (default: never)")
	maxRecv  = flag.Int("max-recv", 4<<20, "bytes of a message that is received")
	compress = flag.Bool("gzip", false, "compress what is sent")
	refuse   = flag.Int64("refuse", 0, "so many streams end with an error before anything else (trailers-only)")
	missing  = flag.Bool("unimplemented", false, "serve nothing")
	work     = flag.Duration("work", 20*time.Millisecond, "what a reconcile takes besides its call")
)

type delegate struct {
	pb.UnimplementedDelegateServer
	refused atomic.Int64
	streams atomic.Int64
}

func (d *delegate) Session(stream pb.Delegate_SessionServer) error {
	if d.refused.Add(1) <= *refuse {
		return status.Error(codes.Unavailable, "starting")
	}
	if *compress {
		if err := grpc.SetSendCompressor(stream.Context(), "gzip"); err != nil {
			return err
		}
	}
	fmt.Printf("{\"stream\": %d}\n", d.streams.Add(1))
	s := &session{stream: stream, calls: map[uint64]chan *pb.CallResult{}, pairs: map[uint32]*pb.Open{}, reviews: map[uint64]chan struct{}{}}
	defer s.work.Wait()
	defer s.end()
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = s.receive(message)
		}
		if err != nil {
			return err
		}
	}
}

// session is one stream. Its reconciles run side by side.
type session struct {
	stream  pb.Delegate_SessionServer
	sending sync.Mutex // gRPC wants one Send at a time
	work    sync.WaitGroup

	mu      sync.Mutex
	last    uint64
	calls   map[uint64]chan *pb.CallResult // nil once the stream has ended
	pairs   map[uint32]*pb.Open
	reviews map[uint64]chan struct{} // closed by their Cancel
}

func (s *session) pair(number uint32) *pb.Open {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pairs[number]
}

func (s *session) send(message *pb.DelegateMessage) {
	s.sending.Lock()
	defer s.sending.Unlock()
	_ = s.stream.Send(message) // a broken stream is seen by its reader
}

func (s *session) receive(message *pb.PlaneMessage) error {
	switch m := message.Message.(type) {
	case *pb.PlaneMessage_Hello:
		hello := &pb.Hello{ProtocolVersion: 1, Identity: "interop", Revision: "1", MaxInFlight: maxInFlight,
			Capabilities: []string{"webhooks"}, MaxReviewsInFlight: maxReviews}
		s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Hello{Hello: hello}})
	case *pb.PlaneMessage_Reconcile:
		s.work.Go(func() { s.reconcile(m.Reconcile) })
	case *pb.PlaneMessage_Open:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pairs[m.Open.Pair] = m.Open
	case *pb.PlaneMessage_Admit:
		cancelled := make(chan struct{})
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.reviews) >= maxReviews {
			return status.Error(codes.FailedPrecondition, "more reviews at once than the Hello says")
		}
		s.reviews[m.Admit.Id] = cancelled
		s.work.Go(func() {
			admitted := s.admit(m.Admit, cancelled)
			s.mu.Lock()
			delete(s.reviews, m.Admit.Id) // before the answer, which gives the credit back
			s.mu.Unlock()
			s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Admitted{Admitted: admitted}})
		})
	case *pb.PlaneMessage_Convert:
		s.work.Go(func() { s.convert(m.Convert) })
	case *pb.PlaneMessage_Cancel:
		s.mu.Lock()
		defer s.mu.Unlock()
		if cancelled := s.reviews[m.Cancel.Id]; cancelled != nil {
			close(cancelled)
		}
	case *pb.PlaneMessage_CallResult:
		s.mu.Lock()
		defer s.mu.Unlock()
		if parts := s.calls[m.CallResult.Id]; parts != nil {
			parts <- m.CallResult // its window is smaller than the channel's room
			if m.CallResult.End {
				close(parts)
				delete(s.calls, m.CallResult.Id)
			}
		}
	case *pb.PlaneMessage_Ping:
		s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Ping{Ping: m.Ping}})
	}
	return nil
}

func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, parts := range s.calls {
		close(parts)
	}
	s.calls = nil
	for _, cancelled := range s.reviews {
		close(cancelled)
	}
}

func (s *session) reconcile(r *pb.Reconcile) {
	var object struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(r.GetObject(), &object); err != nil && r.GetGone() == nil {
		log.Printf("%s: %v", r.Name, err)
	}
	code, size := s.list(r)
	time.Sleep(*work)
	line, _ := json.Marshal(map[string]any{"key": r.Name, "version": object.Metadata.ResourceVersion, "attempt": r.Attempt,
		"status": code, "listed": size, "sent": len(r.GetObject())})
	fmt.Println(string(line))
	s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Result{Result: &pb.Result{Id: r.Id, Outcome: &pb.Result_Ok{Ok: &pb.Ok{}}}}})
}

// list is a call with a long answer, which comes in parts.
func (s *session) list(r *pb.Reconcile) (code uint32, size int) {
	return s.get(&pb.Call{Reconcile: r.Id, Method: "GET", Path: "/api/v1/namespaces/" + r.Namespace + "/configmaps", Query: "resourceVersion=0"})
}

// get makes a call and reads its answer; the status is 0 where the stream ended first.
func (s *session) get(call *pb.Call) (code uint32, size int) {
	parts := make(chan *pb.CallResult, 4096)
	s.mu.Lock()
	if s.calls == nil {
		s.mu.Unlock()
		return 0, 0
	}
	s.last++
	id := s.last
	s.calls[id] = parts
	s.mu.Unlock()
	call.Id = id
	s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Call{Call: call}})
	for part := range parts {
		code = max(code, part.Status)
		size += len(part.Body)
		if len(part.Body) > 0 && !part.End {
			s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Window{Window: &pb.Window{Id: id, Bytes: uint32(len(part.Body))}}})
		}
	}
	return code, size
}

func main() {
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	enforcement := keepalive.EnforcementPolicy{MinTime: *minTime} // zero: 5 minutes
	age := keepalive.ServerParameters{MaxConnectionAge: *maxAge, MaxConnectionAgeGrace: *maxGrace}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(*maxRecv), grpc.KeepaliveEnforcementPolicy(enforcement), grpc.KeepaliveParams(age))
	if !*missing {
		pb.RegisterDelegateServer(server, &delegate{})
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		server.GracefulStop() // GOAWAY; returns when every stream has ended
	}()
	fmt.Println("{\"serving\": true}")
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
	fmt.Println("{\"stopped\": true}")
}
