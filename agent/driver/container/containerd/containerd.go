// Package containerd keeps the images of containers with containerd: it pulls them, unpacks them and
// makes a snapshot, a writable file system, for each allocation. Nothing is run by containerd: the
// shim runs the command in that file system, so that tasks in containers are looked after, limited and
// found again like all others, and do not notice when containerd is restarted.
//
// A snapshot belongs to a container of containerd's, by which its garbage collector knows what is
// needed: `ctr -n caravan containers ls` shows the allocations. Both have the allocation's id.
//
// It is linked into caravan-container alone. A Store is safe for concurrent use.
package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"caravan/agent/driver"
	"caravan/agent/driver/container/store"
)

// Defaults of a Config.
const (
	DefaultAddress     = "/run/containerd/containerd.sock"
	DefaultNamespace   = "caravan"
	DefaultSnapshotter = "overlayfs"
	DefaultHostsDir    = "/etc/containerd/certs.d"
)

// label marks containers of ours; its value is the allocation.
const label = "caravan/allocation"

// dialTimeout bounds the wait for a daemon that does not answer.
const dialTimeout = 5 * time.Second

// Config says where containerd is. Empty fields mean the defaults.
type Config struct {
	// Address is the daemon's socket.
	Address string
	// Namespace of containerd in which images and snapshots live.
	Namespace string
	// Snapshotter makes the file systems; it must make ones that mount(8) can mount.
	Snapshotter string
	// HostsDir says how to reach registries; see containerd's hosts.toml.
	HostsDir string
}

// Store is a connection to containerd.
type Store struct {
	cfg    Config
	client *containerd.Client
}

var _ store.Store = (*Store)(nil)

// New connects. It fails with a *store.Failure when the daemon does not answer.
func New(cfg Config) (*Store, error) {
	for _, d := range []struct {
		to    *string
		unset string
	}{
		{&cfg.Address, DefaultAddress}, {&cfg.Namespace, DefaultNamespace},
		{&cfg.Snapshotter, DefaultSnapshotter}, {&cfg.HostsDir, DefaultHostsDir},
	} {
		if *d.to == "" {
			*d.to = d.unset
		}
	}
	// The client would go on trying; a daemon that is away should be known at once.
	probe, err := net.DialTimeout("unix", cfg.Address, dialTimeout)
	if err != nil {
		return nil, unreachable(cfg, err)
	}
	_ = probe.Close() // nothing was sent
	c, err := containerd.New(cfg.Address, containerd.WithDefaultNamespace(cfg.Namespace), containerd.WithTimeout(dialTimeout))
	if err != nil {
		return nil, unreachable(cfg, err)
	}
	return &Store{cfg, c}, nil
}

func unreachable(cfg Config, err error) error {
	return &store.Failure{Kind: store.KindRuntime, Detail: fmt.Sprintf("containerd does not answer at %s: %v (is the daemon running?)", cfg.Address, err)}
}

// Close ends the connection.
func (s *Store) Close() error { return s.client.Close() }

// Check asks for the daemon's version, and whether it has the snapshotter.
func (s *Store) Check(ctx context.Context) (store.Runtime, error) {
	v, err := s.client.Version(ctx)
	if err != nil {
		return store.Runtime{}, fmt.Errorf("version of containerd: %w", err)
	}
	if _, err := s.client.GetSnapshotterCapabilities(ctx, s.cfg.Snapshotter); err != nil {
		return store.Runtime{}, fmt.Errorf("snapshotter %s of containerd: %w", s.cfg.Snapshotter, err)
	}
	return store.Runtime{Name: "containerd", Version: v.Version}, nil
}

// Prepare fetches the image as asked for, and makes the allocation's snapshot of it.
func (s *Store) Prepare(ctx context.Context, r store.Request) (store.Prepared, error) {
	name, err := fullName(r.Image)
	if err != nil {
		return store.Prepared{}, err
	}
	image, err := s.image(ctx, name, r.Pull)
	if err != nil {
		return store.Prepared{}, err
	}
	spec, err := image.Spec(ctx)
	if err != nil {
		return store.Prepared{}, &store.Failure{Kind: store.KindImage, Detail: fmt.Sprintf("image %s has nothing for %s/%s: %v", name, runtime.GOOS, runtime.GOARCH, err)}
	}
	mounts, err := s.snapshot(ctx, r.ID, image)
	if err != nil {
		return store.Prepared{}, err
	}
	p := store.Prepared{
		Image: name + "@" + image.Target().Digest.String(),
		Env:   spec.Config.Env, Entrypoint: spec.Config.Entrypoint, Command: spec.Config.Cmd,
	}
	for _, m := range mounts {
		p.FileSystems = append(p.FileSystems, driver.FileSystem{Type: m.Type, Source: m.Source, Options: m.Options})
	}
	return p, nil
}

// fullName adds registry and tag where they are left out, as everybody does.
func fullName(image string) (string, error) {
	ref, err := reference.ParseDockerRef(image)
	if err != nil {
		return "", &store.Failure{Kind: store.KindImage, Detail: fmt.Sprintf("image %q: %v (write it as in docker.io/library/debian:12)", image, err)}
	}
	return ref.String(), nil
}

// image returns the image, unpacked.
func (s *Store) image(ctx context.Context, name, pull string) (containerd.Image, error) {
	if pull != store.PullAlways {
		image, err := s.client.GetImage(ctx, name)
		switch {
		case err == nil:
			return s.unpacked(ctx, image)
		case !errdefs.IsNotFound(err):
			return nil, fmt.Errorf("image %s: %w", name, err)
		case pull == store.PullNever:
			return nil, &store.Failure{
				Kind:   store.KindImage,
				Detail: fmt.Sprintf("image %s is not on this node, and pull: never forbids to fetch it (import it with `ctr -n %s images import`, or leave out pull)", name, s.cfg.Namespace),
			}
		}
	}
	hosts := config.ConfigureHosts(ctx, config.HostOptions{HostDir: config.HostDirFromRoot(s.cfg.HostsDir)})
	image, err := s.client.Pull(ctx, name,
		containerd.WithPullUnpack, containerd.WithPullSnapshotter(s.cfg.Snapshotter),
		containerd.WithResolver(docker.NewResolver(docker.ResolverOptions{Hosts: hosts})))
	if err != nil {
		return nil, pullFailure(name, err)
	}
	return image, nil
}

// unpacked unpacks an image that was imported, or whose snapshots were collected.
func (s *Store) unpacked(ctx context.Context, image containerd.Image) (containerd.Image, error) {
	done, err := image.IsUnpacked(ctx, s.cfg.Snapshotter)
	if err == nil && !done {
		err = image.Unpack(ctx, s.cfg.Snapshotter)
	}
	if errdefs.IsNotFound(err) {
		return nil, &store.Failure{
			Kind:   store.KindImage,
			Detail: fmt.Sprintf("image %s has nothing for %s/%s, or not all of it is here: %v (try pull: always)", image.Name(), runtime.GOOS, runtime.GOARCH, err),
		}
	}
	if err != nil {
		return nil, fmt.Errorf("unpack image %s: %w", image.Name(), err)
	}
	return image, nil
}

// pullFailure says whose fault it is that an image was not fetched.
func pullFailure(name string, err error) error {
	detail := fmt.Sprintf("pull %s: %v", name, err)
	unknown, isUnknown := errors.AsType[*net.DNSError](err)
	switch {
	case errdefs.IsNotFound(err), errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err), errors.Is(err, docker.ErrInvalidAuthorization):
		return &store.Failure{Kind: store.KindImage, Detail: detail + " (is the name right, and may everybody read it?)"}
	case isUnknown && unknown.IsNotFound:
		return &store.Failure{Kind: store.KindImage, Detail: detail + " (is the registry's name right?)"}
	}
	return &store.Failure{Kind: store.KindRegistry, Detail: detail}
}

// snapshot returns what to mount for an allocation. It makes container and snapshot unless they are
// there from an earlier try.
func (s *Store) snapshot(ctx context.Context, id string, image containerd.Image) ([]mount.Mount, error) {
	snapshots := s.client.SnapshotService(s.cfg.Snapshotter)
	_, err := s.client.LoadContainer(ctx, id)
	if errdefs.IsNotFound(err) {
		// A snapshot that no container needs is left of a try that was cut short, and may be
		// collected any time.
		if err := snapshots.Remove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("remove an old snapshot %s from containerd: %w", id, err)
		}
		_, err = s.client.NewContainer(ctx, id,
			containerd.WithImage(image), containerd.WithSnapshotter(s.cfg.Snapshotter), containerd.WithNewSnapshot(id, image),
			containerd.WithContainerLabels(map[string]string{label: id}), containerd.WithRuntime("caravan", nil),
			containerd.WithSpec(&oci.Spec{Version: specs.Version}))
	}
	if err != nil {
		return nil, fmt.Errorf("container %s in containerd: %w", id, err)
	}
	mounts, err := snapshots.Mounts(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s in containerd: %w", id, err)
	}
	return mounts, nil
}

// Remove drops the allocation's container with its snapshot.
func (s *Store) Remove(ctx context.Context, id string) error {
	c, err := s.client.LoadContainer(ctx, id)
	if err == nil {
		err = c.Delete(ctx, containerd.WithSnapshotCleanup)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s from containerd: %w", id, err)
	}
	return nil
}
