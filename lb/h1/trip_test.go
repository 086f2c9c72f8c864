package h1

import (
	"errors"
	"reflect"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// TestResetLeavesNothing of the request before: no field is forgotten.
func TestResetLeavesNothing(t *testing.T) {
	a := Trip{
		Conn: &Conn{}, Head: &wire.Head{}, Buf: []byte("x"), Answer: &wire.Answer{}, AnswerBuf: []byte("x"), To: &Origin{}, Repeatable: true, Timeout: 1,
		Page: []byte("x"), PageType: "x", Note: 1, Status: 1, Whole: true, Reused: true, Left: true, Heard: true, Attempts: 1, Failure: FailCut, Err: errors.New("x"),
		Began: 1, Handed: 1, Answered: 1, Sent: 1, Received: 1,
	}
	a.Edit.AddString("X", "y")
	a.Reply.Drop(1)
	v := reflect.ValueOf(a)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("this test does not set %s", v.Type().Field(i).Name)
		}
	}
	c := &Conn{}
	a.reset(c)
	a.Edit.text, a.Edit.add, a.Reply.text, a.Reply.add = nil, nil, nil, nil // memory that is kept
	if want := (Trip{Conn: c}); !reflect.DeepEqual(a, want) {
		t.Errorf("%+v", a)
	}
}
