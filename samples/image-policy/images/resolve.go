package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// errNoImage: the registry knows no such tag.
var errNoImage = errors.New("there is no such image")

// Resolver asks registries which digest a tag has now, and remembers it for a short while.
type Resolver struct {
	transport http.RoundTripper
	keep      time.Duration
	most      int
	now       func() time.Time

	mu    sync.Mutex
	known map[string]known
}

type known struct {
	digest string
	until  time.Time
}

// NewResolver remembers digests for so long. A tag that moves meanwhile is resolved to what it was.
func NewResolver(keep time.Duration) *Resolver {
	return &Resolver{transport: remote.DefaultTransport, keep: keep, most: 10_000, now: time.Now, known: map[string]known{}}
}

// Digest is "sha256:...". errNoImage where the registry says so; any other error: it cannot be asked now.
func (r *Resolver) Digest(ctx context.Context, tag name.Tag) (string, error) {
	key := tag.Name()
	r.mu.Lock()
	have, ok := r.known[key]
	r.mu.Unlock()
	if ok && r.now().Before(have.until) {
		return have.digest, nil
	}
	head, err := remote.Head(tag, remote.WithContext(ctx), remote.WithTransport(r.transport))
	var refused *transport.Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		return "", errNoImage
	}
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", tag.RegistryStr(), err)
	}
	r.remember(key, head.Digest.String())
	return head.Digest.String(), nil
}

func (r *Resolver) remember(key, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if len(r.known) >= r.most {
		for k, have := range r.known {
			if !now.Before(have.until) {
				delete(r.known, k)
			}
		}
	}
	if len(r.known) >= r.most {
		clear(r.known) // full of what is fresh: begin anew rather than grow
	}
	r.known[key] = known{digest: digest, until: now.Add(r.keep)}
}
