// The peer that benchmarks of webhooks are compared with: a webhook server of controller-runtime, as most
// controllers run one, that allows everything.
//
//	webhook-peer --cert-dir DIR --port N    serves /validate over TLS with DIR/tls.crt and DIR/tls.key
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func main() {
	certDir := flag.String("cert-dir", "", "directory of tls.crt and tls.key")
	port := flag.Int("port", 0, "port on loopback")
	flag.Parse()
	log.SetLogger(logr.Discard())
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: *port, CertDir: *certDir})
	allow := admission.HandlerFunc(func(context.Context, admission.Request) admission.Response { return admission.Allowed("") })
	server.Register("/validate", &webhook.Admission{Handler: allow})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := server.Start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "webhook-peer:", err)
		os.Exit(1)
	}
}
