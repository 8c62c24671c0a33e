package containers

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// imageName is what the test's image is called.
const imageName = "caravan.test/tools:1"

// archive is a tar file in the making.
type archive struct {
	t   *testing.T
	buf bytes.Buffer
	w   *tar.Writer
}

func newArchive(t *testing.T) *archive {
	a := &archive{t: t}
	a.w = tar.NewWriter(&a.buf)
	return a
}

func (a *archive) add(h tar.Header, content []byte) {
	a.t.Helper()
	h.Size = int64(len(content))
	if err := a.w.WriteHeader(&h); err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.w.Write(content); err != nil {
		a.t.Fatal(err)
	}
}

func (a *archive) bytes() []byte {
	a.t.Helper()
	if err := a.w.Close(); err != nil {
		a.t.Fatal(err)
	}
	return a.buf.Bytes()
}

// layer holds a static busybox, a directory that anybody may write to, and a name of its own.
func layer(t *testing.T) []byte {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("%v (run tools/install busybox)", err)
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a := newArchive(t)
	a.add(tar.Header{Typeflag: tar.TypeDir, Name: "bin", Mode: 0o755}, nil)
	a.add(tar.Header{Name: "bin/busybox", Mode: 0o755}, busybox)
	for _, name := range []string{"sh", "cat", "echo", "id", "ls", "sleep", "touch", "grep", "tail", "dd"} {
		a.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"}, nil)
	}
	a.add(tar.Header{Typeflag: tar.TypeDir, Name: "etc", Mode: 0o755}, nil)
	a.add(tar.Header{Name: "etc/os-release", Mode: 0o644}, []byte("ID=tools\n"))
	a.add(tar.Header{Typeflag: tar.TypeDir, Name: "free", Mode: 0o777}, nil)
	return a.bytes()
}

// image is an archive in the OCI layout, as `ctr images import` takes it.
func image(t *testing.T) []byte {
	t.Helper()
	out := newArchive(t)
	put := func(content []byte, mediaType string) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		out.add(tar.Header{Name: "blobs/sha256/" + d.Digest.Encoded(), Mode: 0o644}, content)
		return d
	}
	encode := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	tools := layer(t)
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	config.Config.Env = []string{"PATH=/bin", "FROM_IMAGE=yes"}
	config.Config.Entrypoint, config.Config.Cmd = []string{"/bin/echo", "entry"}, []string{"cmd"}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(tools)}}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: put(encode(config), ocispec.MediaTypeImageConfig),
		Layers: []ocispec.Descriptor{put(tools, ocispec.MediaTypeImageLayer)},
	}
	d := put(encode(manifest), ocispec.MediaTypeImageManifest)
	d.Annotations = map[string]string{"io.containerd.image.name": imageName}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{d}}
	out.add(tar.Header{Name: ocispec.ImageIndexFile, Mode: 0o644}, encode(index))
	out.add(tar.Header{Name: ocispec.ImageLayoutFile, Mode: 0o644}, encode(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}))
	return out.bytes()
}
