// testregistry is a registry in memory with one image, app:v1; it prints where it is and the image's digest. For tests.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to serve")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		log.Fatal(http.Serve(listener, registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
	}()
	host := listener.Addr().String()
	tag, err := name.NewTag(host + "/app:v1")
	if err != nil {
		log.Fatal(err)
	}
	image, err := random.Image(1024, 1)
	if err != nil {
		log.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		log.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"host\": %q, \"digest\": %q}\n", host, digest)
	select {}
}
