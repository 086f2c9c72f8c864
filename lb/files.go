package lb

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// The files of the group are a part of what is in force: every node that has a configuration which names one has its bytes, as of the same index.

// files are those that listeners serve, and what is missing of them.
type files struct {
	path    string // below which they are; "": nowhere
	named   map[string]*servedFile
	missing error // what the error pages name and this node does not have
}

type servedFile struct {
	data            []byte
	etag, mediaType string
}

// mediaTypes are by the end of a name. Whatever else there is, nobody may take for something that runs.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".json": "application/json", ".txt": "text/plain; charset=utf-8",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml", ".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon",
	".woff2": "font/woff2", ".woff": "font/woff",
}

func newServedFile(f *fsm.File) *servedFile {
	s := &servedFile{data: f.Data, etag: `"` + hex.EncodeToString(f.Hash[:16]) + `"`, mediaType: mediaTypes[strings.ToLower(path.Ext(f.Name))]}
	if s.mediaType == "" {
		s.mediaType = "application/octet-stream"
	}
	return s
}

// useFiles compiles the files into the settings, and those that error pages name into the pages.
func (s *settings) useFiles(p *config.Proxy, list []*fsm.File) {
	s.files = files{path: p.FilesPath, named: make(map[string]*servedFile, len(list))}
	for _, f := range list {
		s.files.named[f.Name] = newServedFile(f)
	}
	var missing []error
	for i := range s.pages {
		page := &s.pages[i]
		if page.file == "" {
			continue
		}
		f := s.files.named[page.file]
		if f == nil {
			missing = append(missing, fmt.Errorf("error page %d names the file %s, which this node does not have", page.at, page.file))
			continue
		}
		form := map[string]form{"html": formHTML, "json": formJSON, "text": formText}[config.PageForm(page.file)]
		page.forms[form] = newTemplate(string(f.data))
	}
	s.files.missing = errors.Join(missing...)
}

// sameFiles tells whether two lists are one.
func sameFiles(a, b []*fsm.File) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// below gives the name of a file that a routing path leads to; false for every path that leads elsewhere.
func (f *files) below(routing string) (name string, ok bool) {
	if f.path == "" {
		return "", false
	}
	return strings.CutPrefix(routing, f.path)
}

// servesFile answers a request below the path of files; false when it is for somebody else.
func (x *exchange) servesFile() bool {
	files := &x.edge.files
	if files.path == "" || x.streamsTo != "" {
		return false
	}
	name, ok := files.below(routingPath(x.r.URL))
	if !ok {
		return false
	}
	if x.b.opts.OutOfService() != nil {
		return false
	}
	f := files.named[name]
	err := x.edge.bounds.pass(x.client.addr, limitClock())
	switch {
	case err != nil:
		x.fail(err)
	case f == nil:
		x.fail(errNoFile)
	case x.r.Method != http.MethodGet && x.r.Method != http.MethodHead:
		x.fail(errFileMethod)
	default:
		x.sendFile(f)
	}
	return true
}

var (
	errNoFile     = errors.New("there is no such file")
	errFileMethod = errors.New("a file is only read")
)

func (x *exchange) sendFile(f *servedFile) {
	h := x.w.Header()
	x.tellRequestID(h)
	x.tellHSTS(h)
	x.tellAltSvc(h)
	x.sayLast(h)
	h.Set("Content-Type", f.mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // asked for again, and answered by 304 while it is the same
	h.Set("ETag", f.etag)
	x.head = true
	if matches(x.r.Header["If-None-Match"], f.etag) {
		h.Del("Content-Type")
		x.status = http.StatusNotModified
		x.w.WriteHeader(x.status)
		return
	}
	x.status = http.StatusOK
	h.Set("Content-Length", strconv.Itoa(len(f.data)))
	x.boundSend()
	x.w.WriteHeader(x.status)
	if x.r.Method == http.MethodHead {
		return
	}
	err := x.inTime(func() error {
		n, err := x.w.Write(f.data)
		x.sent = int64(n)
		return err
	})
	if err != nil {
		x.problem = errClientWrite.Error()
	}
}

// matches tells whether a list of entity tags names this one (RFC 9110 section 13.1.2: weakness does not count).
func matches(lines []string, etag string) bool {
	for _, line := range lines {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
				return true
			}
		}
	}
	return false
}
