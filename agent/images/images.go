// Package images is an agent's store of FPGA images: a directory with the files and an index,
// images.yaml, that says what each is called, what it was built for and what a device calls it once it
// is loaded.
//
//   - {name: aes128, file: aes128.gbs, interface: f9b0a5d8c3e34c1eb6d5a1f4e7c20d33, id: 8b5f21d0a7c94c10a1b2c3d4e5f60718}
//   - {name: transcode, id: agfi-0f0e045f919413242}
//
// Invariants: names are unique; a file lies in the directory itself and is there; an image without a
// file is one that the device fetches by its id.
//
// The index is read again when it has changed, so that images can be added under a running agent. The
// device manager asks it; a Store is safe for concurrent use.
package images

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
)

// IndexName is the index's name within the directory.
const IndexName = "images.yaml"

// Bounds of an index.
const (
	MaxImages    = 256
	maxIndexSize = 1 << 20 // bytes
	maxText      = 48      // bytes of a name, since it becomes the name of an attribute
	maxID        = 128
)

// Image is one row of the index.
type Image struct {
	// Name is how jobs and operators call it.
	Name string `yaml:"name"`
	// File in the directory; "" for an image that the device fetches itself.
	File string `yaml:"file"`
	// Interface is the shell that it was built for; "" for any.
	Interface string `yaml:"interface"`
	// ID is what a device that runs it calls it; the name where it is left out.
	ID string `yaml:"id"`

	path string
}

// Path is the file's absolute path, "" for an image without a file.
func (i Image) Path() string { return i.path }

// Fits reports whether the image was built for a shell. Either may be unknown, and then the device has
// to judge. Dashes and case mean nothing.
func (i Image) Fits(shell string) bool {
	return i.Interface == "" || shell == "" || plain(i.Interface) == plain(shell)
}

// Is reports whether the image is what a device calls by an id.
func (i Image) Is(loaded string) bool {
	return loaded != "" && (loaded == i.Name || plain(i.ID) == plain(loaded))
}

func plain(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }

// Store is a directory of images.
type Store struct {
	dir string

	mu     sync.Mutex // guards what follows
	read   time.Time  // modification time of what was read
	size   int64
	images []Image
	err    error
}

// Open reads the index of an absolute directory. Errors name the row.
func Open(dir string) (*Store, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("directory of images %q must be absolute", dir)
	}
	s := &Store{dir: dir}
	_, err := s.List()
	return s, err
}

// List returns the images in the order of names. When the index has become unreadable, the error says
// why, and the images are those that were read last.
func (s *Store) List() ([]Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := os.Stat(filepath.Join(s.dir, IndexName))
	if err != nil {
		return s.images, fmt.Errorf("store of images: %w (write an index there)", err)
	}
	if st.ModTime().Equal(s.read) && st.Size() == s.size {
		return s.images, s.err
	}
	s.read, s.size = st.ModTime(), st.Size()
	images, err := s.load()
	if s.err = err; err == nil {
		s.images = images
	}
	return s.images, s.err
}

// ErrUnknown means that a store has no image of a name.
var ErrUnknown = errors.New("no such image")

// Find returns an image by its name or by its id.
func (s *Store) Find(name string) (Image, error) {
	all, err := s.List()
	for _, i := range all {
		if i.Name == name || i.Is(name) {
			return i, nil
		}
	}
	if err != nil {
		return Image{}, err
	}
	return Image{}, fmt.Errorf("image %q: %w in %s (add a row to its %s)", name, ErrUnknown, s.dir, IndexName)
}

func (s *Store) load() ([]Image, error) {
	name := filepath.Join(s.dir, IndexName)
	if s.size > maxIndexSize {
		return nil, fmt.Errorf("%s has %d bytes, at most %d", name, s.size, maxIndexSize)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var rows []Image
	if err := yaml.UnmarshalWithOptions(raw, &rows, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(rows) > MaxImages {
		return nil, fmt.Errorf("%s has %d images, at most %d", name, len(rows), MaxImages)
	}
	seen := make(map[string]bool)
	for i := range rows {
		if err := s.check(&rows[i]); err != nil {
			return nil, fmt.Errorf("%s: image %d, %q: %w", name, i+1, rows[i].Name, err)
		}
		if seen[rows[i].Name] {
			return nil, fmt.Errorf("%s: two images are called %q", name, rows[i].Name)
		}
		seen[rows[i].Name] = true
	}
	slices.SortFunc(rows, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	return rows, nil
}

// check judges a row and fills in what it leaves out.
func (s *Store) check(i *Image) error {
	if i.ID == "" {
		i.ID = i.Name
	}
	switch {
	case !word(i.Name, maxText):
		return fmt.Errorf("a name has 1 to %d letters, digits, '.', '_' and '-'", maxText)
	case !word(i.ID, maxID):
		return fmt.Errorf("an id has 1 to %d letters, digits, '.', '_' and '-'", maxID)
	case i.File == "":
		return nil
	case filepath.Base(i.File) != i.File || i.File == ".." || i.File == ".":
		return fmt.Errorf("file %q must lie in the directory itself", i.File)
	}
	i.path = filepath.Join(s.dir, i.File)
	_, err := os.Stat(i.path)
	return err
}

func word(text string, most int) bool {
	return text != "" && len(text) <= most && strings.IndexFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}) < 0
}
