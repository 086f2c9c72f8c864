// Package s3test is a small object store that speaks enough of S3 for tests, and fails when it is told to.
//
// It holds everything in memory, knows one bucket and one access key, and checks what it gets: credentials, the hash that each request says its body has,
// Content-MD5, the order and the tags of parts. A Fault stands in for anything that stores and networks do.
package s3test

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3 asks for it as a checksum
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The credentials that the server knows, and its bucket.
const (
	AccessKey = "AKIDTEST"
	SecretKey = "not-a-secret"
	Bucket    = "backups"
)

// Fault is asked before each request; when it tells true it has dealt with the request itself.
type Fault func(w http.ResponseWriter, r *http.Request) (done bool)

// Server is the store.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	objects  map[string][]byte
	uploads  map[string]*multipart
	next     int
	fault    Fault
	spoil    func(key string, content []byte) []byte
	requests []string
	token    string
}

type multipart struct {
	key   string
	parts map[int][]byte
}

// New starts a server. Close ends it.
func New() *Server {
	s := &Server{objects: map[string][]byte{}, uploads: map[string]*multipart{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// Getenv is an environment with the server's credentials and its endpoint.
func (s *Server) Getenv(name string) string {
	return map[string]string{"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_ENDPOINT_URL_S3": s.URL}[name]
}

// Break has f asked before each request from now on; nil: nothing breaks.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Spoil has f change what is stored under a name from now on, behind the back of all checks.
func (s *Server) Spoil(f func(key string, content []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoil = f
}

// WantToken has the server ask for a session token.
func (s *Server) WantToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// Put stores something as it is.
func (s *Server) Put(key string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = bytes.Clone(content)
}

// Get gives what is stored, nil for nothing.
func (s *Server) Get(key string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.objects[key])
}

// Keys lists what is stored.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// Uploads counts the uploads in parts that are neither complete nor aborted.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// Requests lists method and key of each request so far, with its query where there is one.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Cut ends the connection of a request without an answer.
func Cut(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = c.Close()
	}
}

// Refuse answers as S3 does when it fails.
func Refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	line := r.Method + " " + key
	if r.URL.RawQuery != "" {
		line += "?" + r.URL.RawQuery
	}
	s.requests = append(s.requests, line)
	fault, token := s.fault, s.token
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "Credential="+AccessKey+"/"):
		Refuse(w, http.StatusForbidden, "InvalidAccessKeyId", "The access key is not known.")
		return
	case token != "" && r.Header.Get("X-Amz-Security-Token") != token:
		Refuse(w, http.StatusForbidden, "InvalidToken", "The token is not known.")
		return
	case bucket != Bucket:
		Refuse(w, http.StatusNotFound, "NoSuchBucket", "The bucket does not exist.")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	if !sound(w, r, body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodGet && key == "":
		s.list(w, q.Get("prefix"), q.Get("delimiter"), q.Get("continuation-token"))
	case r.Method == http.MethodPost && q.Has("uploads"):
		s.next++
		id := fmt.Sprint("upload-", s.next)
		s.uploads[id] = &multipart{key: key, parts: map[int][]byte{}}
		answer(w, "InitiateMultipartUploadResult", "<UploadId>"+id+"</UploadId>")
	case q.Has("uploadId"):
		s.part(w, r, key, body)
	case r.Method == http.MethodPut:
		s.store(key, body)
		w.Header().Set("ETag", tag(body))
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		s.get(w, r, key)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		Refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method)
	}
}

// sound compares a body with what the request says of it.
func sound(w http.ResponseWriter, r *http.Request, body []byte) bool {
	sum := sha256.Sum256(body)
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != "UNSIGNED-PAYLOAD" && said != hex.EncodeToString(sum[:]) {
		Refuse(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The hash of the body is another one.")
		return false
	}
	m := md5.Sum(body) //nolint:gosec
	if said := r.Header.Get("Content-Md5"); said != "" && said != base64.StdEncoding.EncodeToString(m[:]) {
		Refuse(w, http.StatusBadRequest, "BadDigest", "The Content-MD5 is another one.")
		return false
	}
	if r.Method == http.MethodPut && (r.Header.Get("Content-Md5") == "" || r.Header.Get("X-Amz-Content-Sha256") == "UNSIGNED-PAYLOAD") {
		Refuse(w, http.StatusBadRequest, "InvalidRequest", "Content without checksums is not taken.")
		return false
	}
	return true
}

func tag(b []byte) string {
	m := md5.Sum(b) //nolint:gosec
	return `"` + hex.EncodeToString(m[:]) + `"`
}

func answer(w http.ResponseWriter, root, inner string) {
	w.Header().Set("Content-Type", "application/xml")
	fmt.Fprintf(w, "<%s>%s</%s>", root, inner, root)
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder takes everything
	return b.String()
}

func (s *Server) store(key string, content []byte) {
	if s.spoil != nil {
		content = s.spoil(key, content)
	}
	s.objects[key] = content
}

// part takes a part, puts all of them together, or removes them.
func (s *Server) part(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	q := r.URL.Query()
	u := s.uploads[q.Get("uploadId")]
	if u == nil || u.key != key {
		Refuse(w, http.StatusNotFound, "NoSuchUpload", "There is no such upload.")
		return
	}
	switch r.Method {
	case http.MethodPut:
		n, err := strconv.Atoi(q.Get("partNumber"))
		if err != nil || n < 1 || n > 10_000 {
			Refuse(w, http.StatusBadRequest, "InvalidArgument", "partNumber")
			return
		}
		u.parts[n] = body
		w.Header().Set("ETag", tag(body))
	case http.MethodDelete:
		delete(s.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPost:
		var list struct {
			Part []struct {
				PartNumber int
				ETag       string
			}
		}
		if err := xml.Unmarshal(body, &list); err != nil || len(list.Part) == 0 {
			Refuse(w, http.StatusBadRequest, "MalformedXML", "The list of parts cannot be read.")
			return
		}
		var all []byte
		for i, p := range list.Part {
			if part, ok := u.parts[p.PartNumber]; !ok || tag(part) != `"`+strings.Trim(p.ETag, `"`)+`"` || i > 0 && p.PartNumber <= list.Part[i-1].PartNumber {
				Refuse(w, http.StatusBadRequest, "InvalidPart", "A part is not there.")
				return
			}
			all = append(all, u.parts[p.PartNumber]...)
		}
		s.store(key, all)
		delete(s.uploads, q.Get("uploadId"))
		answer(w, "CompleteMultipartUploadResult", "<Bucket>"+Bucket+"</Bucket><Key>"+escape(key)+"</Key><ETag>"+tag(all)+"</ETag>")
	}
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, key string) {
	content, ok := s.objects[key]
	if !ok {
		Refuse(w, http.StatusNotFound, "NoSuchKey", "The key does not exist.")
		return
	}
	w.Header().Set("ETag", tag(content))
	http.ServeContent(w, r, "", time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), bytes.NewReader(content)) // ranges and If-Match
}

// listPage is how many keys come at once: few, so that tests of a handful of objects meet a second page.
const listPage = 3

func (s *Server) list(w http.ResponseWriter, prefix, delimiter, after string) {
	var inner strings.Builder
	count, more, last := 0, false, ""
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok || key <= after || delimiter != "" && strings.Contains(rest, delimiter) {
			continue
		}
		if count == listPage {
			more = true
			break
		}
		count, last = count+1, key
		fmt.Fprintf(&inner, "<Contents><Key>%s</Key><Size>%d</Size><ETag>%s</ETag><LastModified>2026-03-01T12:00:00Z</LastModified></Contents>", escape(key), len(s.objects[key]), tag(s.objects[key]))
	}
	fmt.Fprintf(&inner, "<IsTruncated>%v</IsTruncated><KeyCount>%d</KeyCount>", more, count)
	if more {
		fmt.Fprintf(&inner, "<NextContinuationToken>%s</NextContinuationToken>", escape(last))
	}
	answer(w, "ListBucketResult", inner.String())
}
