package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	pb "gulfstream.dev/proto/delegate/v1"
)

const maxReviews = 8

// admit does what the object under review says.
func (s *session) admit(a *pb.Admit, cancelled chan struct{}) *pb.Admitted {
	var review struct {
		Object struct{ Do, Path string }
	}
	if err := json.Unmarshal(a.Request, &review); err != nil {
		review.Object.Do = "undecided"
	}
	out := &pb.Admitted{Id: a.Id}
	switch do := review.Object.Do; do {
	case "patch":
		patch := fmt.Sprintf(`[{"op":"add","path":"/deadline","value":%d}]`, a.DeadlineMs)
		out.Outcome = &pb.Admitted_Allowed{Allowed: &pb.Allowed{Patch: []byte(patch)}}
		out.Warnings = []string{"patched in " + s.pair(a.Pair).Cluster.Name}
		out.AuditAnnotations = map[string]string{"webhook": s.pair(a.Pair).Webhook, "dry-run": fmt.Sprint(a.DryRun)}
	case "read":
		code, size := s.get(&pb.Call{Review: a.Id, Method: "GET", Path: review.Object.Path})
		out.Outcome = &pb.Admitted_Refused{Refused: &pb.Refused{Code: 422, Reason: "Invalid", Message: fmt.Sprintf("%d with %d bytes", code, size)}}
	case "hang":
		<-cancelled
		tell("cancelled", a.Id)
		out.Outcome = &pb.Admitted_Allowed{Allowed: &pb.Allowed{}}
	case "slow":
		time.Sleep(200 * time.Millisecond)
		out.Outcome = &pb.Admitted_Allowed{Allowed: &pb.Allowed{}}
	case "nothing":
	default:
		out.Outcome = &pb.Admitted_Undecided{Undecided: &pb.Failure{Reason: "Odd", Message: "what is " + do}}
	}
	return out
}

func (s *session) convert(c *pb.Convert) {
	objects := &pb.ConvertedObjects{}
	for _, object := range c.Objects {
		objects.Objects = append(objects.Objects, []byte(strings.Replace(string(object), `"x.dev/v1"`, `"`+c.DesiredApiVersion+`"`, 1)))
	}
	out := &pb.Converted{Id: c.Id, Outcome: &pb.Converted_Converted{Converted: objects}}
	s.send(&pb.DelegateMessage{Message: &pb.DelegateMessage_Converted{Converted: out}})
}

func tell(what string, value any) {
	line, _ := json.Marshal(map[string]any{what: value})
	fmt.Println(string(line))
}
