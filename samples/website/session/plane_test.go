package session

import (
	"context"
	"io"
	"testing"
	"time"

	pb "gulfstream.dev/proto/delegate/v1"
)

// plane is the other end of a Session: a stream without a network.
type plane struct {
	t      *testing.T
	ctx    context.Context
	inbox  chan *pb.PlaneMessage
	outbox chan *pb.DelegateMessage
	ended  chan error
	*Session
}

func (p *plane) Context() context.Context               { return p.ctx }
func (p *plane) Send(message *pb.DelegateMessage) error { p.outbox <- message; return nil }
func (p *plane) Recv() (*pb.PlaneMessage, error) {
	if message, open := <-p.inbox; open {
		return message, nil
	}
	return nil, io.EOF
}

func begin(t *testing.T, handler Handler) *plane { return beginWith(t, handler, func(*Session) {}) }

// beginWithReviews has room for three of them.
func beginWithReviews(t *testing.T, admit Admit) *plane {
	ok := func(context.Context, Request) *pb.Result { return Ok() }
	return beginWith(t, ok, func(s *Session) { s.ServeReviews(admit, 3) })
}

func beginWith(t *testing.T, handler Handler, prepare func(*Session)) *plane {
	p := &plane{t: t, ctx: t.Context(), inbox: make(chan *pb.PlaneMessage, 16), outbox: make(chan *pb.DelegateMessage, 64), ended: make(chan error, 1)}
	p.Session = New(p, &pb.Hello{MaxInFlight: 2, Revision: "r1"}, handler)
	prepare(p.Session)
	go func() { p.ended <- p.Run() }()
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Hello{Hello: &pb.Hello{ProtocolVersion: 1}}}
	if hello := p.hear().GetHello(); hello.GetProtocolVersion() != 1 || hello.GetRevision() != "r1" {
		t.Fatalf("hello: %v", hello)
	}
	open := &pb.Open{Pair: 1, Controller: "c", Cluster: &pb.Cluster{Name: "a"}}
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Open{Open: open}}
	return p
}

func (p *plane) reconcile(message *pb.Reconcile) {
	message.Pair = 1
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Reconcile{Reconcile: message}}
}

func (p *plane) answer(part *pb.CallResult) {
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_CallResult{CallResult: part}}
}

func (p *plane) hear() *pb.DelegateMessage {
	p.t.Helper()
	select {
	case message := <-p.outbox:
		return message
	case err := <-p.ended:
		p.t.Fatalf("the session ended: %v", err)
	case <-time.After(5 * time.Second):
		p.t.Fatal("nothing was said")
	}
	return nil
}
