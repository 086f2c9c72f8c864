package fsm

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// File is that of a name, nil for none.
func (o *Operating) File(name string) *File { return fileNamed(o.Files, name) }

// FileUpload is what has come of a file that is on its way, nil for none.
func (o *Operating) FileUpload(name string) *File { return fileNamed(o.Uploads, name) }

func fileNamed(list []*File, name string) *File {
	if i, found := findFile(list, name); found {
		return list[i]
	}
	return nil
}

func findFile(list []*File, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(f *File, name string) int { return cmp.Compare(f.Name, name) })
}

// fileWith is the list with f in the place of the one of its name, fileWithout the list without that name.
func fileWith(list []*File, f *File) []*File {
	next := slices.Clone(list)
	i, found := findFile(next, f.Name)
	if found {
		next[i] = f
		return next
	}
	return slices.Insert(next, i, f)
}

func fileWithout(list []*File, name string) []*File {
	return without(list, func(f **File) bool { return (*f).Name == name })
}

// filesSize is what they have, or will have.
func filesSize(lists ...[]*File) (n int) {
	for _, list := range lists {
		for _, f := range list {
			n += f.Size
		}
	}
	return n
}

// problem says why it cannot be kept, or nothing.
func (f *File) problem() string {
	var k check
	if !config.FileName(f.Name) {
		k.failf("%q is no name of a file: 1 to %d letters, digits, dots, dashes or underscores, the first a letter or a digit", clip(f.Name, maxNameBytes), maxFileName)
	}
	k.name("the actor", f.Actor)
	if f.Size < 1 || f.Size > MaxFile {
		k.failf("file %s has %d bytes, not 1 to %d", clip(f.Name, maxFileName), f.Size, MaxFile)
	}
	return k.message
}

func (r *replica) filePart(index uint64, c *FilePart) Result {
	next := File{Name: c.Name, Size: c.Size, Actor: c.Actor, Version: index, Changed: millis(r.now.Load())}
	k := check{message: next.problem()}
	if copy(next.Hash[:], c.Hash) != len(next.Hash) || len(c.Hash) != len(next.Hash) {
		k.failf("a hash of %d bytes is none of SHA-256", len(c.Hash))
	}
	if len(c.Data) < 1 || len(c.Data) > MaxFilePart || c.At < 0 || c.At > c.Size-len(c.Data) {
		k.failf("a part has 1 to %d bytes of its file, not %d from byte %d of %d", MaxFilePart, len(c.Data), c.At, c.Size)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	if is := o.File(c.Name); is != nil && is.Hash == next.Hash && is.Size == next.Size {
		return Result{} // the same bytes are there
	}
	had := o.FileUpload(c.Name)
	if had != nil && (had.Hash != next.Hash || had.Size != next.Size) {
		had = nil
	}
	switch end := c.At + len(c.Data); {
	case had != nil && had.has(c.At, c.Data) && len(had.Data) == end:
		return Result{} // it has been sent again
	case c.At == 0:
		return r.beginFile(index, &next, c.Data)
	case had == nil:
		return Result{Code: CodeAbsent, Message: fmt.Sprintf("no upload of file %s with that content is under way: it was given up, or another one was begun; begin it again", c.Name)}
	case c.At != len(had.Data):
		return Result{Code: CodeConflict, Message: fmt.Sprintf("%d bytes of file %s are there, these are the ones from %d to %d", len(had.Data), c.Name, c.At, end)}
	}
	next.Data = append(slices.Clip(had.Data), c.Data...)
	return r.takeFile(index, o, &next)
}

// has reports whether these bytes are there from that one on.
func (f *File) has(at int, data []byte) bool {
	return at+len(data) <= len(f.Data) && bytes.Equal(f.Data[at:at+len(data)], data)
}

// beginFile takes the first part, and forgets uploads that nobody goes on with.
func (r *replica) beginFile(index uint64, next *File, data []byte) Result {
	o := *r.operating.Load()
	o.Uploads = without(fileWithout(o.Uploads, next.Name), func(f **File) bool { return next.Changed.Sub((*f).Changed) >= FileIdle })
	others := fileWithout(o.Files, next.Name)
	switch n := filesSize(others, o.Uploads) + next.Size; {
	case len(others)+len(o.Uploads) >= maxFileCount:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("there are %d files, the most that a group keeps: remove some", len(others)+len(o.Uploads))}
	case len(o.Uploads) >= maxFileUploads:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("%d files are on their way, the most at once: wait for one of them", len(o.Uploads))}
	case n > MaxFiles:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("all files would have %d bytes together, at most %d are kept: remove some", n, MaxFiles)}
	}
	next.Data = bytes.Clone(data)
	return r.takeFile(index, &o, next)
}

// takeFile puts what has come of a file into the state; o has the uploads that stay.
func (r *replica) takeFile(index uint64, o *Operating, next *File) Result {
	if !next.Whole() {
		uploads := fileWith(o.Uploads, next)
		r.operate(index, func(o *Operating) { o.Uploads = uploads })
		return Result{}
	}
	uploads := fileWithout(o.Uploads, next.Name)
	if sha256.Sum256(next.Data) != next.Hash {
		r.operate(index, func(o *Operating) { o.Uploads = uploads })
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("the bytes that came of file %s have another hash than was said: send it again", next.Name)}
	}
	verb := "added"
	if o.File(next.Name) != nil {
		verb = "replaced"
	}
	files := fileWith(o.Files, next)
	r.operate(index, func(o *Operating) { o.Files, o.Uploads = files, uploads })
	r.emit(index, Event{Kind: EventFile, Actor: next.Actor, Text: fmt.Sprintf("File %s %s, %d bytes, SHA-256 %x%s", next.Name, verb, next.Size, next.Hash, by(next.Actor))})
	return Result{}
}

func (r *replica) fileDrop(index uint64, c *FileDrop) Result {
	var k check
	k.name("the name of the file", c.Name)
	k.name("the actor", c.Actor)
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	if c.Upload {
		f := o.FileUpload(c.Name)
		if f == nil || f.Version != c.Version {
			return Result{Code: CodeAbsent, Message: fmt.Sprintf("that upload of file %s is over, or goes on", c.Name)}
		}
		r.operate(index, func(o *Operating) { o.Uploads = fileWithout(o.Uploads, c.Name) })
		return Result{}
	}
	if o.File(c.Name) == nil {
		return Result{Code: CodeAbsent, Message: fmt.Sprintf("there is no file %s", clip(c.Name, maxFileName))}
	}
	for i, name := range o.Revision.Config.NamedFiles() {
		if name == c.Name {
			return Result{Code: CodeConflict, Message: fmt.Sprintf("proxy.errorPages[%d] names file %s: change the page first", i, c.Name)}
		}
	}
	r.operate(index, func(o *Operating) { o.Files = fileWithout(o.Files, c.Name) })
	r.emit(index, Event{Kind: EventFile, Actor: c.Actor, Text: fmt.Sprintf("File %s removed%s", c.Name, by(c.Actor))})
	return Result{}
}

// filesProblem says which file that a configuration names is not there, "" for none.
func (o *Operating) filesProblem(c *config.Config) (at, problem string) {
	for i, name := range c.NamedFiles() {
		if name != "" && o.File(name) == nil {
			return fmt.Sprintf("proxy.errorPages[%d].file", i), fmt.Sprintf("there is no file %s: put it first, with 'holdfast file put'", clip(name, maxFileName))
		}
	}
	return "", ""
}

// sumFiles brings their digest up to date. Those that are in both are not hashed again.
func (p *parts) sumFiles(old, next *Operating) {
	diffFiles(&p.files, old.Files, next.Files)
	diffFiles(&p.files, old.Uploads, next.Uploads)
}

func diffFiles(s *sum, old, next []*File) {
	if len(old) == len(next) && (len(old) == 0 || &old[0] == &next[0]) {
		return
	}
	kept := make(map[*File]bool, len(next))
	for _, f := range next {
		kept[f] = true
	}
	for _, f := range old {
		if kept[f] {
			delete(kept, f)
		} else {
			s.sub(itemSum(itemFile, appendFile(nil, &f)))
		}
	}
	for _, f := range next {
		if kept[f] {
			s.add(itemSum(itemFile, appendFile(nil, &f)))
		}
	}
}

// appendFile is the canonical form of a file, or of what has come of one.
func appendFile(b []byte, p **File) []byte {
	f := *p
	b = slices.Grow(b, len(f.Data)+len(f.Name)+len(f.Actor)+100)
	b = appendBytes(b, f.Name)
	b = append(b, f.Hash[:]...)
	b = appendU32(b, uint32(f.Size))
	b = appendU64(b, f.Version)
	b = appendTime(b, f.Changed)
	b = appendBytes(b, f.Actor)
	return appendBytes(b, f.Data)
}

func parseFile(b []byte) (*File, bool) {
	p := parser{b: b}
	f := &File{Name: p.string()}
	copy(f.Hash[:], p.take(uint64(len(f.Hash))))
	f.Size, f.Version, f.Changed, f.Actor, f.Data = int(p.u32()), p.u64(), p.time(), p.string(), p.bytes()
	return f, p.done() && f.problem() == "" && len(f.Data) >= 1 && len(f.Data) <= f.Size && f.Version != 0
}

// file adds a file of a snapshot; the whole ones come first.
func (r *restorer) file(b []byte) bool {
	f, ok := parseFile(b)
	if !ok {
		return false
	}
	list, most := &r.op.Uploads, maxFileUploads
	if f.Whole() {
		list, most = &r.op.Files, maxFileCount
		ok = len(r.op.Uploads) == 0 && sha256.Sum256(f.Data) == f.Hash
	}
	if n := len(*list); !ok || n >= most || n > 0 && (*list)[n-1].Name >= f.Name || filesSize(*list)+f.Size > MaxFiles { // uploads may be in the place of files: both have room
		return false
	}
	*list = append(*list, f)
	return true
}

func (r *restorer) filesProblem() string {
	for _, list := range [][]*File{r.op.Files, r.op.Uploads} {
		for _, f := range list {
			if f.Version > r.op.Index || !r.past(f.Changed) {
				return "file"
			}
		}
	}
	return ""
}

// restoredFiles are those of the group as it is, and of an archive those that the group has no more: the configuration that comes back may name them.
func restoredFiles(present *Operating, archived []*File, index uint64) []*File {
	list := slices.Clone(present.Files)
	for _, f := range archived {
		if fileNamed(list, f.Name) == nil && len(list)+len(present.Uploads) < maxFileCount && filesSize(list, present.Uploads)+f.Size <= MaxFiles {
			again := *f
			again.Version = index
			list = fileWith(list, &again)
		}
	}
	return list
}
