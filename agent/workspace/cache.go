package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/singleflight"

	"caravan/scheduler/blob"
)

// Config describes a cache.
type Config struct {
	// Dir keeps packed directories; it is made if need be. Absolute. Required.
	Dir string
	// MaxBytes bounds them; default 10 GiB.
	MaxBytes int64
	// Fetch opens a packed directory on the servers. Required.
	Fetch func(ctx context.Context, digest string) (io.ReadCloser, error)
}

// Cache keeps packed directories. Safe for concurrent use.
type Cache struct {
	cfg    Config
	store  *blob.Store
	flight singleflight.Group
}

// New opens a cache.
func New(cfg Config) (*Cache, error) {
	if cfg.Fetch == nil {
		return nil, errors.New("workspace: Fetch must be set")
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 10 << 30
	}
	store, err := blob.New(blob.Config{Dir: cfg.Dir, MaxBytes: cfg.MaxBytes})
	if err != nil {
		return nil, err
	}
	return &Cache{cfg: cfg, store: store}, nil
}

// tries bounds how often a packed directory is fetched that is dropped again before it is used.
const tries = 3

// Place makes dir anew with a copy of the directory in it. Concurrent calls for one digest
// fetch it once.
func (c *Cache) Place(ctx context.Context, digest, dir string) error {
	f, err := c.open(ctx, digest)
	if err != nil {
		return fmt.Errorf("the directory that was sent along with the job: %w", err)
	}
	defer f.Close()
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o750)); err != nil {
		return err
	}
	return Unpack(f, dir)
}

func (c *Cache) open(ctx context.Context, digest string) (*os.File, error) {
	for range tries {
		f, err := c.store.Open(digest)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
		if _, err, _ := c.flight.Do(digest, func() (any, error) { return nil, c.fetch(ctx, digest) }); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("it was dropped from the cache again and again: the cache is too small")
}

func (c *Cache) fetch(ctx context.Context, digest string) error {
	r, err := c.cfg.Fetch(ctx, digest)
	if err != nil {
		return err
	}
	defer r.Close()
	return c.store.Adopt(digest, r)
}
