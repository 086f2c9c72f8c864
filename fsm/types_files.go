package fsm

import "time"

// The bounds of files. They are part of every snapshot, and of the memory of every node.
const (
	// MaxFile is the largest file in bytes, MaxFiles what all files have together, with those that are on their way.
	MaxFile  = 1 << 20
	MaxFiles = 16 << 20
	// MaxFilePart is the most that one FilePart carries, in bytes, so that the entries of the log stay small.
	MaxFilePart = 128 << 10
	// FileIdle is after how long without another part an upload may be given up.
	FileIdle = 10 * time.Minute

	maxFileCount   = 256
	maxFileUploads = 8
	maxFileName    = 128
)

// EventFile: a file was added, replaced or removed.
const EventFile = "file"

// File is a file of the group: for error pages, and what they need. It is known by the hash of its bytes, which every node has checked. A value is immutable.
type File struct {
	Name string
	// Hash is the SHA-256 of all bytes, Size how many those are. Data has all of them, or, of an upload, those that have come so far.
	Hash [32]byte
	Size int
	Data []byte
	// Version is the log index at which the file became whole, or at which the last part came; Changed is the replicated time of that.
	Version uint64
	Changed time.Time
	Actor   string
}

// Whole tells a file from an upload.
func (f *File) Whole() bool { return len(f.Data) == f.Size }

// FilePart brings the next bytes of a file. The first one (At 0) begins the upload, and gives up another one of that name; with the last one the file takes the place of
// the one of that name, if the hash of all bytes is right, else the upload is over and CodeInvalid says so. A part that has come already is a success once
// more, and so is every part of a file that is there as it is. CodeConflict when At is not how many bytes are there, CodeAbsent when no such upload is under
// way, CodeInvalid when a bound is passed.
type FilePart struct {
	RequestID RequestID `json:"requestId"`
	Name      string    `json:"name"`
	Hash      []byte    `json:"hash"`
	Size      int       `json:"size"`
	At        int       `json:"at"`
	Data      []byte    `json:"data"`
	Actor     string    `json:"actor"`
}

// FileDrop removes a file; CodeAbsent when there is none, CodeConflict while the configuration names it. With Upload it gives an upload of that name up instead, to
// which nothing has come since Version.
type FileDrop struct {
	RequestID RequestID `json:"requestId"`
	Name      string    `json:"name"`
	Actor     string    `json:"actor,omitempty"`
	Upload    bool      `json:"upload,omitempty"`
	Version   uint64    `json:"version,omitempty"`
}

func (*FilePart) kind() kind           { return kindFilePart }
func (*FileDrop) kind() kind           { return kindFileDrop }
func (c *FilePart) request() RequestID { return c.RequestID }
func (c *FileDrop) request() RequestID { return c.RequestID }
