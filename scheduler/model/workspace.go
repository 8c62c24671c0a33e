package model

// Workspace is a directory that was packed and sent along with a job; its tasks
// begin in a copy of it.
type Workspace struct {
	// Digest is the SHA-256 of the packed directory, in lower-case hexadecimal digits.
	Digest string
	// Bytes is the size of the packed directory.
	Bytes int64
	// Path is the directory as its user wrote it, for people.
	Path string
}

// MaxWorkspaceBytes bounds a packed directory: larger data belongs on storage
// that the nodes share.
const MaxWorkspaceBytes = 512 << 20

// ValidDigest reports whether s can be the name of a blob: 64 lower-case
// hexadecimal digits, and so never a path.
func ValidDigest(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return true
}
