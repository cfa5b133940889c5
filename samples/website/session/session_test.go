package session

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	pb "gulfstream.dev/proto/delegate/v1"
)

func TestAReconcileReachesTheHandlerAndItsResultThePlane(t *testing.T) {
	p := begin(t, func(_ context.Context, r Request) *pb.Result {
		return Permanent(r.Pair.Cluster.Name+"/"+r.Namespace+"/"+r.Name, string(r.Object))
	})
	p.reconcile(&pb.Reconcile{Id: 7, Namespace: "n", Name: "x", Primary: &pb.Reconcile_Object{Object: []byte("{}")}})
	if r := p.hear().GetResult(); r.GetId() != 7 || r.GetPermanent().GetReason() != "a/n/x" || r.GetPermanent().GetMessage() != "{}" {
		t.Fatal(r)
	}
}

func TestUnmatchedAndGoneAreToldApart(t *testing.T) {
	seen := make(chan Request, 2)
	p := begin(t, func(_ context.Context, r Request) *pb.Result { seen <- r; return Skip() })
	p.reconcile(&pb.Reconcile{Id: 1, Primary: &pb.Reconcile_Unmatched{Unmatched: &pb.Unmatched{Object: []byte("{}")}}})
	if r := <-seen; r.Matched || r.Object == nil {
		t.Fatal(r)
	}
	p.hear()
	p.reconcile(&pb.Reconcile{Id: 2, Primary: &pb.Reconcile_Gone{Gone: &pb.Gone{LastState: []byte("{}")}}})
	if r := <-seen; r.Matched || r.Object != nil {
		t.Fatal(r)
	}
}

func TestAPingIsAnsweredWithItsPayload(t *testing.T) {
	p := begin(t, nil)
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Ping{Ping: &pb.Ping{Payload: 9}}}
	if ping := p.hear().GetPing(); ping.GetPayload() != 9 {
		t.Fatal(ping)
	}
}

func TestCancelAndDeadlineEndTheContextAndAResultStillComes(t *testing.T) {
	p := begin(t, func(ctx context.Context, _ Request) *pb.Result {
		<-ctx.Done()
		return Transient("Ended", ctx.Err().Error())
	})
	p.reconcile(&pb.Reconcile{Id: 1})
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Cancel{Cancel: &pb.Cancel{Id: 1}}}
	if r := p.hear().GetResult(); r.GetTransient().GetMessage() != "context canceled" {
		t.Fatal(r)
	}
	p.reconcile(&pb.Reconcile{Id: 2, DeadlineMs: 1})
	if r := p.hear().GetResult(); r.GetTransient().GetMessage() != "context deadline exceeded" {
		t.Fatal(r)
	}
}

func TestAPanicCostsItsKeyARetryAndNothingElse(t *testing.T) {
	p := begin(t, func(_ context.Context, r Request) *pb.Result {
		if r.Name == "bad" {
			panic("defect")
		}
		return Ok()
	})
	p.reconcile(&pb.Reconcile{Id: 1, Name: "bad"})
	if r := p.hear().GetResult(); r.GetTransient().GetReason() != "Panic" {
		t.Fatal(r)
	}
	p.reconcile(&pb.Reconcile{Id: 2, Name: "good"})
	if r := p.hear().GetResult(); r.GetOk() == nil {
		t.Fatal(r)
	}
}

func TestMoreReconcilesThanWerePromisedEndTheStream(t *testing.T) {
	p := begin(t, func(ctx context.Context, _ Request) *pb.Result { <-ctx.Done(); return Ok() })
	for id := range uint64(3) {
		p.reconcile(&pb.Reconcile{Id: id + 1})
	}
	if err := <-p.ended; status.Code(err) != codes.FailedPrecondition {
		t.Fatal(err)
	}
}

func TestAVersionThatIsNotKnownIsRefused(t *testing.T) {
	p := begin(t, nil)
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Hello{Hello: &pb.Hello{ProtocolVersion: 0}}}
	if err := <-p.ended; status.Code(err) != codes.FailedPrecondition {
		t.Fatal(err)
	}
}

func TestTheEndOfTheStreamStopsWhatIsInFlight(t *testing.T) {
	p := begin(t, func(ctx context.Context, _ Request) *pb.Result { <-ctx.Done(); return Ok() })
	p.reconcile(&pb.Reconcile{Id: 1})
	p.Drain("bye")
	if drain := p.hear().GetDrain(); drain.GetWhy() != "bye" {
		t.Fatal(drain)
	}
	close(p.inbox)
	if err := <-p.ended; err != nil {
		t.Fatal(err)
	}
}
