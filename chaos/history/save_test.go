package history

import (
	"errors"
	"strings"
	"testing"
	"time"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestSave(t *testing.T) {
	s := newScript()
	s.answer(2, 3, "a")
	s.silent(4)
	s.look(0, 1, "")
	s.MayLeave("plain", "a", `"fell"`, s.ms(5), time.Time{})
	s.edit(6, 7, Done, 2)
	s.edit(8, 9, Unknown, 0)
	var b strings.Builder
	if err := s.Save(&b); err != nil {
		t.Fatal(err)
	}
	want := `{"session":"1","cluster":"plain","client":0,"did":"looked up","fromNs":0,"toNs":1000000}
{"session":"1","cluster":"plain","client":0,"did":"answered","instance":"a","fromNs":2000000,"toNs":3000000}
{"session":"1","cluster":"plain","client":0,"did":"no answer","fromNs":4000000}
{"cluster":"plain","client":0,"did":"may leave","instance":"a","why":"\"fell\"","fromNs":5000000}
{"client":0,"did":"change became revision 2","revision":2,"fromNs":6000000,"toNs":7000000}
{"client":0,"did":"change had no answer","fromNs":8000000}
`
	if b.String() != want {
		t.Errorf("%s, want %s", b.String(), want)
	}
	if err := s.Save(fullDisk{}); err == nil {
		t.Error("saved on a full disk")
	}
}
