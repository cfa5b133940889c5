package session

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	pb "gulfstream.dev/proto/delegate/v1"
)

// Review is one request to an API server that waits for an answer.
type Review struct {
	Pair    *pb.Open // of a Webhook
	DryRun  bool
	Request []byte // the request of the AdmissionReview, raw JSON
}

// Admit decides on a review. Kubernetes clients whose transport is a Transport read with its ctx. The answer's id is filled in.
type Admit func(ctx context.Context, review Review) *pb.Admitted

// ServeReviews makes the session one that serves webhooks, so many at once. Before Run.
func (s *Session) ServeReviews(admit Admit, atOnce uint32) {
	s.admit = admit
	s.hello.Capabilities = append(s.hello.Capabilities, "webhooks")
	s.hello.MaxReviewsInFlight = atOnce
}

func (s *Session) startReview(ctx context.Context, message *pb.Admit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pair := s.pairs[message.Pair]
	if s.admit == nil || pair == nil || s.reviews >= s.hello.MaxReviewsInFlight {
		return status.Errorf(codes.FailedPrecondition, "review %d: pair %d is not open, or more than %d at once", message.Id, message.Pair,
			s.hello.MaxReviewsInFlight)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(message.DeadlineMs)*time.Millisecond)
	ctx = context.WithValue(ctx, attemptKey{}, &attempt{session: s, review: message.Id})
	s.running[message.Id] = cancel
	s.reviews++
	s.work.Go(func() {
		admitted := s.review(ctx, Review{Pair: pair, DryRun: message.DryRun, Request: message.Request})
		admitted.Id = message.Id
		cancel()
		s.mu.Lock()
		delete(s.running, message.Id)
		s.reviews--
		s.mu.Unlock()
		_ = s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Admitted{Admitted: admitted}}) // Run sees a broken stream
	})
	return nil
}

// A defect costs one review its decision. What it is, is for our log: the person who waits is not to see our insides.
func (s *Session) review(ctx context.Context, r Review) (admitted *pb.Admitted) {
	defer func() {
		if defect := recover(); defect != nil {
			slog.Error("panic", "cluster", r.Pair.Cluster.GetName(), "webhook", r.Pair.Webhook, "what", fmt.Sprint(defect))
			admitted = Undecided("Panic", "the delegate has a defect; see its log")
		}
	}()
	return s.admit(ctx, r)
}

// Allowed, Refused and Undecided are answers without an id. An empty patch changes nothing.
func Allowed(patch []byte) *pb.Admitted {
	return &pb.Admitted{Outcome: &pb.Admitted_Allowed{Allowed: &pb.Allowed{Patch: patch}}}
}

func Refused(code uint32, reason, message string) *pb.Admitted {
	return &pb.Admitted{Outcome: &pb.Admitted_Refused{Refused: &pb.Refused{Code: code, Reason: reason, Message: message}}}
}

func Undecided(reason, message string) *pb.Admitted {
	return &pb.Admitted{Outcome: &pb.Admitted_Undecided{Undecided: &pb.Failure{Reason: reason, Message: message}}}
}
