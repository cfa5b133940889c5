// website is a Gulfstream delegate: every Website resource becomes a Deployment, a Service and an Ingress.
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

	"gulfstream.dev/samples/website/session"
	"gulfstream.dev/samples/website/website"
)

type delegate struct {
	pb.UnimplementedDelegateServer
	handler     session.Handler
	maxInFlight uint32
	revision    string

	mu       sync.Mutex
	sessions map[*session.Session]struct{}
}

func (d *delegate) Session(stream pb.Delegate_SessionServer) error {
	host, _ := os.Hostname()
	s := session.New(stream, &pb.Hello{
		Identity: "website/" + d.revision + " " + host, Revision: d.revision, MaxInFlight: d.maxInFlight,
		// An apply answers with what there is now, so our own change need not bring the key back.
		Capabilities: []string{"pure", "ignores-echoes"}}, d.handler)
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

// revision is the commit that the program was built from: when it is another, the plane reconciles everything anew.
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
	address := flag.String("address", "127.0.0.1:9444", "host:port to serve on")
	maxInFlight := flag.Uint("max-in-flight", 64, "reconciles at once on one stream")
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
	reconciler, err := website.New(session.Transport{})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(options...)
	serving := &delegate{handler: reconciler.Reconcile, maxInFlight: uint32(*maxInFlight), revision: revision(),
		sessions: map[*session.Session]struct{}{}}
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
		slog.Error("website", "err", err)
		os.Exit(1)
	}
}
