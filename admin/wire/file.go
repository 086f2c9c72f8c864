package wire

import "time"

// File describes a file of the group.
type File struct {
	Name    string    `json:"name"`
	Size    int       `json:"size" doc:"bytes"`
	SHA256  string    `json:"sha256" doc:"of the bytes, hexadecimal"`
	Changed time.Time `json:"changed" doc:"when it was put last"`
	Actor   string    `json:"actor,omitempty"`
	// Pages are the status of the error pages that it is.
	Pages []string `json:"pages" doc:"the error pages that name it, by their status"`
}

// FileList is all files of the group.
type FileList struct {
	Files []File `json:"files"`
	// Size and Limit are what all have, and may have, in bytes.
	Size  int `json:"size"`
	Limit int `json:"limit"`
}
