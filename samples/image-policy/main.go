// image-policy is a Gulfstream delegate: its Webhooks refuse images that no ImagePolicy allows and replace tags by digests,
// and its Controller keeps the status of the ImagePolicies.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	pb "gulfstream.dev/proto/delegate/v1"

	"gulfstream.dev/samples/image-policy/images"
	"gulfstream.dev/samples/website/session"
)

type delegate struct {
	pb.UnimplementedDelegateServer
	reconciler *images.Reconciler
	reviewer   *images.Reviewer
	maxReviews uint32
	revision   string

	mu       sync.Mutex
	sessions map[*session.Session]struct{}
}

func (d *delegate) Session(stream pb.Delegate_SessionServer) error {
	host, _ := os.Hostname()
	s := session.New(stream, &pb.Hello{Identity: "image-policy/" + d.revision + " " + host, Revision: d.revision, MaxInFlight: 16,
		Capabilities: []string{"pure", "ignores-echoes"}}, d.reconciler.Reconcile)
	s.ServeReviews(d.reviewer.Admit, d.maxReviews)
	d.mu.Lock()
	d.sessions[s] = struct{}{}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.sessions, s)
		d.mu.Unlock()
	}()
	return s.Run()
}

func (d *delegate) drain(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.sessions {
		s.Drain(why)
	}
}

// revision is the commit that the program was built from.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value[:12]
			}
		}
	}
	return "dev"
}

func run() error {
	address := flag.String("address", "127.0.0.1:9445", "host:port to serve on")
	maxReviews := flag.Uint("max-reviews", 256, "reviews at once on one stream")
	keep := flag.Duration("remember-digests", time.Minute, "how long a tag's digest is taken to be the same")
	drain := flag.Duration("drain", 20*time.Second, "for what is in flight at SIGTERM")
	cert := flag.String("tls-cert", "", "certificate chain (PEM); without it plain HTTP/2, for loopback only")
	key := flag.String("tls-key", "", "its key (PEM)")
	flag.Parse()

	var options []grpc.ServerOption
	if *cert != "" || *key != "" {
		tls, err := credentials.NewServerTLSFromFile(*cert, *key)
		if err != nil {
			return fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		options = append(options, grpc.Creds(tls))
	}
	reconciler, err := images.NewReconciler(session.Transport{})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(options...)
	serving := &delegate{reconciler: reconciler, reviewer: images.NewReviewer(session.Transport{}, images.NewResolver(*keep)),
		maxReviews: uint32(*maxReviews), revision: revision(), sessions: map[*session.Session]struct{}{}}
	pb.RegisterDelegateServer(server, serving)

	stopped, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	context.AfterFunc(stopped, func() {
		serving.drain("the delegate is stopping")
		time.AfterFunc(*drain, server.Stop)
		server.GracefulStop()
	})
	slog.Info("serving", "address", listener.Addr().String(), "revision", serving.revision)
	return server.Serve(listener)
}

func main() {
	if err := run(); err != nil {
		slog.Error("image-policy", "err", err)
		os.Exit(1)
	}
}
