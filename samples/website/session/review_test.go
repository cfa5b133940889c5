package session

import (
	"context"
	"io"
	"net/http"
	"testing"

	pb "gulfstream.dev/proto/delegate/v1"
)

func (p *plane) admit(message *pb.Admit) {
	message.Pair = 1
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Admit{Admit: message}}
}

func TestAReviewReachesTheHandlerAndItsAnswerThePlane(t *testing.T) {
	p := beginWithReviews(t, func(_ context.Context, r Review) *pb.Admitted {
		if !r.DryRun || r.Pair.Cluster.Name != "a" {
			t.Error(r)
		}
		return Refused(422, "Invalid", string(r.Request))
	})
	p.admit(&pb.Admit{Id: 7, DeadlineMs: 1000, DryRun: true, Request: []byte("{}")})
	if a := p.hear().GetAdmitted(); a.GetId() != 7 || a.GetRefused().GetCode() != 422 || a.GetRefused().GetMessage() != "{}" {
		t.Fatal(a)
	}
}

func TestReviewsHaveTheirOwnNumberAtOnce(t *testing.T) {
	done := make(chan struct{})
	p := beginWithReviews(t, func(context.Context, Review) *pb.Admitted { <-done; return Allowed(nil) })
	for id := uint64(1); id <= 3; id++ { // credit is 3; reconciles have 2
		p.admit(&pb.Admit{Id: id, DeadlineMs: 1000})
	}
	p.reconcile(&pb.Reconcile{Id: 9})
	if r := p.hear().GetResult(); r.GetId() != 9 {
		t.Fatal(r)
	}
	close(done)
	for range 3 {
		if p.hear().GetAdmitted().GetAllowed() == nil {
			t.Fatal("not allowed")
		}
	}
}

func TestCancelAndDeadlineEndAReviewsContext(t *testing.T) {
	p := beginWithReviews(t, func(ctx context.Context, _ Review) *pb.Admitted {
		<-ctx.Done()
		return Undecided("Ended", ctx.Err().Error())
	})
	p.admit(&pb.Admit{Id: 1, DeadlineMs: 60_000})
	p.inbox <- &pb.PlaneMessage{Message: &pb.PlaneMessage_Cancel{Cancel: &pb.Cancel{Id: 1}}}
	if a := p.hear().GetAdmitted(); a.GetUndecided().GetMessage() != "context canceled" {
		t.Fatal(a)
	}
	p.admit(&pb.Admit{Id: 2, DeadlineMs: 1})
	if a := p.hear().GetAdmitted(); a.GetUndecided().GetMessage() != "context deadline exceeded" {
		t.Fatal(a)
	}
}

func TestRequestsOfAReviewAreItsCalls(t *testing.T) {
	p := beginWithReviews(t, func(ctx context.Context, _ Review) *pb.Admitted {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://plane/api/v1/namespaces/n/secrets/s", nil)
		answer, err := Transport{}.RoundTrip(request)
		if err != nil {
			return Undecided("Failed", err.Error())
		}
		body, _ := io.ReadAll(answer.Body)
		return Undecided("Read", string(body))
	})
	p.admit(&pb.Admit{Id: 4, DeadlineMs: 60_000})
	call := p.hear().GetCall()
	if call.GetReview() != 4 || call.GetReconcile() != 0 || call.GetPath() != "/api/v1/namespaces/n/secrets/s" {
		t.Fatal(call)
	}
	p.answer(&pb.CallResult{Id: call.Id, Status: 200, Body: []byte("secret"), End: true})
	for {
		message := p.hear()
		if message.GetWindow() != nil {
			continue
		}
		if a := message.GetAdmitted(); a.GetUndecided().GetMessage() != "secret" {
			t.Fatal(a)
		}
		return
	}
}

func TestAPanicCostsOneReviewItsDecisionAndIsNotShown(t *testing.T) {
	p := beginWithReviews(t, func(context.Context, Review) *pb.Admitted { panic("secret") })
	p.admit(&pb.Admit{Id: 1, DeadlineMs: 1000})
	if a := p.hear().GetAdmitted(); a.GetUndecided().GetReason() != "Panic" || a.GetUndecided().GetMessage() == "secret" {
		t.Fatal(a)
	}
}
