package fsm

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// testFilePart is the part from one byte to another of a file with that content.
func testFilePart(name, content string, from, to int) *FilePart {
	hash := sha256.Sum256([]byte(content))
	return &FilePart{Name: name, Hash: hash[:], Size: len(content), At: from, Data: []byte(content)[min(from, len(content)):max(min(to, len(content)), min(from, len(content)))], Actor: "me"}
}

func (r *replicaUnderTest) wantPart(c *FilePart, code Code, says string) {
	r.t.Helper()
	if res := r.do(c); res.Code != code || !strings.Contains(res.Message, says) {
		r.t.Fatalf("part %d of %s: %+v, want %v %q", c.At, c.Name, res, code, says)
	}
}

// TestFiles: TIP-14. A file is there when all its bytes are, in order, with the hash that was said; before that it is not, and what was there stays.
func TestFiles(t *testing.T) {
	r := newReplicaUnderTest(t)
	const page = "<h1>We are back soon</h1>"
	r.wantPart(testFilePart("sorry.html", page, 0, 10), CodeOK, "")
	if o := r.s.Operating(); len(o.Files) != 0 || len(o.Uploads) != 1 || o.File("sorry.html") != nil {
		t.Fatal("half of a file is a file")
	}
	r.survives()
	r.wantPart(testFilePart("sorry.html", page, 0, 10), CodeOK, "") // twice
	r.wantPart(testFilePart("sorry.html", page, 12, 20), CodeConflict, "10 bytes of file sorry.html are there")
	r.wantPart(testFilePart("sorry.html", page, 5, 10), CodeOK, "") // has come already
	r.wantPart(testFilePart("sorry.html", page, 5, 11), CodeConflict, "")
	r.wantPart(testFilePart("other.html", page, 10, 20), CodeAbsent, "begin it again")
	r.wantPart(testFilePart("sorry.html", page+"!", 10, 20), CodeAbsent, "begin it again") // another file
	r.wantPart(testFilePart("sorry.html", page, 10, 20), CodeOK, "")
	r.wantPart(testFilePart("sorry.html", page, 20, 99), CodeOK, "")
	f := r.s.Operating().File("sorry.html")
	if f == nil || string(f.Data) != page || f.Hash != sha256.Sum256([]byte(page)) || f.Version != r.index || len(r.s.Operating().Uploads) != 0 {
		t.Fatalf("%+v", f)
	}
	r.wantPart(testFilePart("sorry.html", page, 20, 99), CodeOK, "") // it is there
	r.wantPart(testFilePart("sorry.html", page, 0, 99), CodeOK, "")
	if n := r.s.LastEvent(); n != 1 {
		t.Errorf("%d events", n)
	}
	r.wantPart(testFilePart("sorry.html", "other", 0, 2), CodeOK, "")
	if r.s.Operating().File("sorry.html") != f {
		t.Error("what was there does not stay until the other one is whole")
	}
	r.survives()
	r.wantPart(testFilePart("sorry.html", "other", 2, 5), CodeOK, "")
	if got := r.s.Operating().File("sorry.html"); string(got.Data) != "other" {
		t.Errorf("%+v", got)
	}
	list := r.s.Events(0, 10)
	if len(list) != 2 || list[0].Kind != EventFile || !strings.HasPrefix(list[0].Text, "File sorry.html added, 25 bytes, SHA-256 ") || !strings.HasPrefix(list[1].Text, "File sorry.html replaced, 5 bytes") || !strings.HasSuffix(list[1].Text, " by me") {
		t.Errorf("%+v", list)
	}
	r.survives()
}

// TestWrongFiles: bytes that do not have the hash come to nothing, and what cannot be a part changes nothing.
func TestWrongFiles(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.wantPart(testFilePart("a.css", "good", 0, 4), CodeOK, "")
	wrong := testFilePart("a.css", "abcd", 0, 2)
	r.wantPart(wrong, CodeOK, "")
	last := testFilePart("a.css", "abcd", 2, 4)
	last.Data = []byte("xx")
	r.wantPart(last, CodeInvalid, "another hash")
	if o := r.s.Operating(); len(o.Uploads) != 0 || string(o.File("a.css").Data) != "good" {
		t.Error("a wrong upload is not over, or has done harm")
	}
	for name, change := range map[string]func(*FilePart){
		"no name": func(c *FilePart) { c.Name = "" }, "a path": func(c *FilePart) { c.Name = "a/b" }, "up": func(c *FilePart) { c.Name = ".." }, "hidden": func(c *FilePart) { c.Name = ".htaccess" },
		"backslash": func(c *FilePart) { c.Name = `a\b` }, "null": func(c *FilePart) { c.Name = "a\x00" }, "percent": func(c *FilePart) { c.Name = "a%2fb" }, "blank": func(c *FilePart) { c.Name = "a b" },
		"letters": func(c *FilePart) { c.Name = "ä.css" }, "long": func(c *FilePart) { c.Name = strings.Repeat("x", 129) }, "short hash": func(c *FilePart) { c.Hash = c.Hash[:31] },
		"long hash": func(c *FilePart) { c.Hash = append(c.Hash, 1) }, "no hash": func(c *FilePart) { c.Hash = nil }, "nothing": func(c *FilePart) { c.Data = nil }, "empty": func(c *FilePart) { c.Size, c.Data = 0, nil },
		"negative size": func(c *FilePart) { c.Size = -1 }, "too large": func(c *FilePart) { c.Size = MaxFile + 1 }, "negative place": func(c *FilePart) { c.At = -1 }, "beyond": func(c *FilePart) { c.At = 1 },
		"overflow": func(c *FilePart) { c.At = int(^uint(0) >> 1) }, "too much at once": func(c *FilePart) { c.Size, c.Data = MaxFile, make([]byte, MaxFilePart+1) },
		"actor": func(c *FilePart) { c.Actor = strings.Repeat("x", maxNameBytes+1) },
	} {
		c := testFilePart("b.css", "abcd", 0, 4)
		before := r.s.Digest()
		change(c)
		if res := r.do(c); res.Code != CodeInvalid || res.Message == "" || r.s.Digest() != before && res.Code == CodeOK {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if o := r.s.Operating(); len(o.Files) != 1 || len(o.Uploads) != 0 {
		t.Errorf("%d files, %d uploads", len(o.Files), len(o.Uploads))
	}
	r.survives()
}

// TestBoundsOfFiles: what all have together is bounded when an upload begins, uploads too; those that nobody goes on with make room.
func TestBoundsOfFiles(t *testing.T) {
	r := newReplicaUnderTest(t)
	large := strings.Repeat("x", MaxFile)
	put := func(name, content string) {
		for at := 0; at < len(content); at += MaxFilePart {
			r.wantPart(testFilePart(name, content, at, at+MaxFilePart), CodeOK, "")
		}
	}
	for i := range MaxFiles/MaxFile - 1 {
		put(fmt.Sprintf("f%02d", i), large)
	}
	r.wantPart(testFilePart("small", "ab", 0, 1), CodeOK, "") // has its room
	r.wantPart(testFilePart("last", large, 0, 10), CodeInvalid, "at most 16777216 are kept")
	r.wantPart(testFilePart("f00", large[:MaxFile-1], 0, MaxFilePart), CodeOK, "") // in the place of one
	r.survives()
	r.at(FileIdle)
	r.wantPart(testFilePart("last", large, 0, 10), CodeOK, "")
	if o := r.s.Operating(); len(o.Uploads) != 1 {
		t.Errorf("%d uploads", len(o.Uploads))
	}

	r = newReplicaUnderTest(t)
	for i := range maxFileUploads {
		r.wantPart(testFilePart(fmt.Sprintf("u%d", i), "abc", 0, 1), CodeOK, "")
	}
	r.wantPart(testFilePart("more", "abc", 0, 1), CodeInvalid, "wait for one of them")
	r.wantPart(testFilePart("u3", "xyz", 0, 1), CodeOK, "") // in the place of one
	for i := range maxFileUploads {
		r.wantPart(testFilePart(fmt.Sprintf("u%d", i), map[bool]string{true: "xyz", false: "abc"}[i == 3], 1, 3), CodeOK, "")
	}
	for i := range maxFileCount - maxFileUploads {
		r.wantPart(testFilePart(fmt.Sprintf("v%d", i), "abc", 0, 3), CodeOK, "")
	}
	r.wantPart(testFilePart("one-more", "abc", 0, 3), CodeInvalid, "the most that a group keeps")
	r.wantPart(testFilePart("v0", "abd", 0, 3), CodeOK, "")
	r.survives()
}

// TestFilesThatPagesName: a configuration that names a file which is not there is refused, and a file that is named is not removed.
func TestFilesThatPagesName(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	named := testConfig(testCluster("c1", 0, "i1"))
	named.Proxy.ErrorPages = []config.ErrorPage{{Status: "503", Text: "x"}, {Status: config.Maintenance, File: "sorry.html"}}
	change := func() Result { return r.do(&ConfigChange{Expect: r.s.Revision().Number, Actor: "me", Config: named}) }
	if res := change(); res.Code != CodeInvalid || res.Message != "proxy.errorPages[1].file: there is no file sorry.html: put it first, with 'holdfast file put'" {
		t.Fatalf("%+v", res)
	}
	r.wantPart(testFilePart("sorry.html", "abcd", 0, 2), CodeOK, "")
	if res := change(); res.Code != CodeInvalid {
		t.Fatalf("half a file is enough: %+v", res)
	}
	r.wantPart(testFilePart("sorry.html", "abcd", 2, 4), CodeOK, "")
	if res := change(); res.Code != CodeOK {
		t.Fatalf("%+v", res)
	}
	if res := r.do(&FileDrop{Name: "sorry.html", Actor: "me"}); res.Code != CodeConflict || !strings.Contains(res.Message, "proxy.errorPages[1] names file sorry.html") {
		t.Fatalf("%+v", res)
	}
	r.change(nil)
	if res := r.do(&FileDrop{Name: "sorry.html", Actor: "me"}); res.Code != CodeOK || len(r.s.Operating().Files) != 0 {
		t.Fatalf("%+v", res)
	}
	if res := r.do(&FileDrop{Name: "sorry.html", Actor: "me"}); res.Code != CodeAbsent {
		t.Fatalf("%+v", res)
	}
	r.survives()
}

// TestUploadsAreGivenUp only while nothing comes.
func TestUploadsAreGivenUp(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.wantPart(testFilePart("a", "abcd", 0, 1), CodeOK, "")
	was := r.index
	r.at(time.Minute)
	r.wantPart(testFilePart("a", "abcd", 1, 2), CodeOK, "")
	if res := r.do(&FileDrop{Name: "a", Upload: true, Version: was}); res.Code != CodeAbsent {
		t.Errorf("%+v", res)
	}
	up := r.s.Operating().FileUpload("a")
	if res := r.do(&FileDrop{Name: "a", Upload: true, Version: up.Version}); res.Code != CodeOK || len(r.s.Operating().Uploads) != 0 {
		t.Errorf("%+v", res)
	}
	if res := r.do(&FileDrop{Name: "a"}); res.Code != CodeAbsent {
		t.Errorf("%+v", res)
	}
	r.survives()
}

// TestHostileFilesInSnapshots: what no group keeps is no file of a snapshot.
func TestHostileFilesInSnapshots(t *testing.T) {
	good := File{Name: "a.css", Hash: sha256.Sum256([]byte("abcd")), Size: 4, Data: []byte("abcd"), Version: 1, Changed: testStart}
	try := func(list ...File) bool {
		r := &restorer{}
		for i := range list {
			f := &list[i]
			if !r.file(appendFile(nil, &f)) {
				return false
			}
		}
		return true
	}
	half := good
	half.Name, half.Data = "b.css", []byte("ab")
	if !try(good, half) {
		t.Fatal("a good one is refused")
	}
	for name, change := range map[string]func(*File){
		"wrong hash": func(f *File) { f.Hash[0]++ }, "wrong bytes": func(f *File) { f.Data = []byte("abce") }, "more bytes": func(f *File) { f.Data = []byte("abcde") }, "no bytes": func(f *File) { f.Data = nil },
		"no version": func(f *File) { f.Version = 0 }, "no size": func(f *File) { f.Size = 0 }, "too large": func(f *File) { f.Size = MaxFile + 1 }, "a path": func(f *File) { f.Name = "a/b" },
	} {
		f := good
		f.Data = bytes.Clone(good.Data)
		change(&f)
		if try(f) {
			t.Error(name)
		}
	}
	if try(half, good) || try(good, good) || try(half, half) {
		t.Error("the order is not checked")
	}
}

// TestFileEntriesStaySmall: a part fits many times into what an entry may have.
func TestFileEntriesStaySmall(t *testing.T) {
	b := mustEncode(t, testStart, testFilePart(strings.Repeat("n", maxFileName), strings.Repeat("x", MaxFile), 0, MaxFilePart))
	if len(b) > MaxFilePart*3/2 {
		t.Errorf("%d bytes", len(b))
	}
}

// TestGoldenFiles: what is on disk is read for ever.
func TestGoldenFiles(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, []goldenEntry{
		{file: "v4_file_part.entry", bytes: mustEncode(t, testStart, testFilePart("sorry.html", "a page", 0, 6)), code: CodeOK},
		{file: "v4_file_half.entry", bytes: mustEncode(t, testStart, testFilePart("logo.png", "half of it", 0, 5)), code: CodeOK},
		{file: "v4_file_css.entry", bytes: mustEncode(t, testStart, testFilePart("site.css", "b{}", 0, 3)), code: CodeOK},
		{file: "v4_file_drop.entry", bytes: mustEncode(t, testStart, &FileDrop{Name: "site.css", Actor: "me"}), code: CodeOK},
	})
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v4_files.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v4_files.snapshot", snapshotBytes(t, r.s))), r.s)
}
