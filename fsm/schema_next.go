//go:build nextschema

package fsm

// A program that is built with the tag nextschema is one of the next schema, to try upgrades with: it knows one more command. No release has it.

// Schema is the latest schema of the state that this program knows; see schema.go.
const Schema = 5

const (
	kindNoteSet kind = 41
	lastKind         = kindNoteSet
)

// EventNote is somebody's note.
const EventNote = "note"

// NoteSet puts a note of an operator into the group's events. It came with schema 5.
type NoteSet struct {
	RequestID RequestID `json:"requestId"`
	Actor     string    `json:"actor"`
	Text      string    `json:"text"`
}

func (*NoteSet) kind() kind           { return kindNoteSet }
func (c *NoteSet) request() RequestID { return c.RequestID }
func (k kind) laterSchema() int       { return Schema }
func newLaterCommand(k kind) Command  { return new(NoteSet) }

func identifyLater(c Command, fresh func() RequestID) Command {
	note, ok := c.(*NoteSet)
	if !ok {
		return nil
	}
	return identified(note, &note.RequestID, func(n *NoteSet) { n.RequestID = fresh() })
}

func (r *replica) executeLater(index uint64, c Command) (Result, bool) {
	note, ok := c.(*NoteSet)
	if !ok {
		return Result{}, false
	}
	var k check
	k.name("the actor", note.Actor)
	k.text("the note", note.Text)
	if note.Text == "" {
		k.failf("the note is empty")
	}
	if res, refused := k.refused(); refused {
		return res, true
	}
	r.emit(index, Event{Kind: EventNote, Actor: note.Actor, Text: note.Text})
	return Result{}, true
}
