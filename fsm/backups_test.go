package fsm

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// The newest attempt and the newest good one are kept; each end is one event.
func TestBackupAttempts(t *testing.T) {
	r := newReplicaUnderTest(t)
	step := 0
	do := func(c Command, code Code, text string) *Backups {
		t.Helper()
		step++
		r.at(time.Duration(step) * time.Second)
		r.wantCode(r.do(c), code, text)
		r.survives()
		return r.s.Operating().Backups
	}
	b := do(&BackupBegin{ID: "b1", Node: "n1", Every: time.Hour + 5}, CodeOK, "")
	if !b.Runs() || b.Node != "n1" || b.Every != time.Hour || !b.First.Equal(testStart.Add(time.Second)) || !b.Begun.Equal(b.First) || !b.Since().Equal(b.First) || r.s.LastEvent() != 0 {
		t.Fatalf("%+v", b)
	}
	do(&BackupBegin{ID: "b1", Node: "n1", Every: time.Hour}, CodeOK, "")
	do(&BackupBegin{ID: "b1", Node: "n2", Every: time.Hour}, CodeConflict, `the newest backup of the schedule is "b1", not ""`)
	do(&BackupBegin{ID: "b2", Node: "n2", Every: time.Hour}, CodeConflict, `is "b1", not ""`)
	do(&BackupBegin{ID: "b2", Expect: "b1", Node: "n2", Every: time.Hour}, CodeConflict, "backup b1 is being made by node n1")
	do(&BackupEnd{ID: "b2", Failure: "x"}, CodeAbsent, `"b2" is not the newest backup`)
	b = do(&BackupEnd{ID: "b1", Failure: "disk full", Proposer: "n2"}, CodeOK, "")
	if b.Runs() || b.Failure != "disk full" || b.Failures != 1 || b.Good != nil {
		t.Fatalf("%+v", b)
	}
	if e := r.lastEvent(EventBackupFailed); e.Text != "Backup by node n1 failed: disk full" || e.Node != "n2" {
		t.Fatalf("%+v", e)
	}
	do(&BackupEnd{ID: "b1", Name: "/a", Index: 1, Bytes: 1}, CodeOK, "") // it has ended
	do(&BackupBegin{ID: "b1", Expect: "b1", Node: "n1", Every: time.Hour}, CodeConflict, "")
	b = do(&BackupBegin{ID: "b2", Expect: "b1", Node: "n2", Every: time.Hour}, CodeOK, "")
	if !b.Runs() || b.Failure != "" || b.Failures != 1 {
		t.Fatalf("%+v", b)
	}
	begun := b.Begun
	b = do(&BackupEnd{ID: "b2", Name: "/backup/a.hfb", Index: 77, Bytes: 4096}, CodeOK, "")
	if b.Runs() || b.Failures != 0 || *b.Good != (GoodBackup{Node: "n2", Name: "/backup/a.hfb", Index: 77, Bytes: 4096, At: begun}) || !b.Since().Equal(begun) {
		t.Fatalf("%+v %+v", b, b.Good)
	}
	if e := r.lastEvent(EventBackup); e.Text != "Backup /backup/a.hfb made by node n2: index 77, 4096 bytes" || e.Node != "n2" {
		t.Fatalf("%+v", e)
	}
	do(&BackupBegin{ID: "b3", Expect: "b2", Node: "n1", Every: time.Minute}, CodeOK, "")
	b = do(&BackupEnd{ID: "b3", Failure: strings.Repeat("x", maxTextBytes)}, CodeOK, "")
	if b.Good.Index != 77 || b.Failures != 1 || !b.First.Equal(testStart.Add(time.Second)) || r.s.LastEvent() != 3 {
		t.Fatalf("%+v, %d events", b, r.s.LastEvent())
	}
}

func TestBackupRefuses(t *testing.T) {
	long := strings.Repeat("x", maxNameBytes+1)
	for text, c := range map[string]Command{
		"the id of the backup is missing":             &BackupBegin{Node: "n1", Every: time.Hour},
		"the id of the backup has 257 bytes":          &BackupBegin{ID: long, Node: "n1", Every: time.Hour},
		"the id of the backup before has 257 bytes":   &BackupBegin{ID: "b", Expect: long, Node: "n1", Every: time.Hour},
		`"n 1" is no name of a node`:                  &BackupBegin{ID: "b", Node: "n 1", Every: time.Hour},
		"the name of a node has 0 bytes":              &BackupBegin{ID: "b", Every: time.Hour},
		"a backup every 0s is too often":              &BackupBegin{ID: "b", Node: "n1"},
		"a backup every -1h0m0s is too often":         &BackupBegin{ID: "b", Node: "n1", Every: -time.Hour},
		"a backup every 999ms is too often":           &BackupBegin{ID: "b", Node: "n1", Every: time.Second - 1},
		"the failure has 4097 bytes":                  &BackupEnd{ID: "b", Failure: strings.Repeat("x", maxTextBytes+1)},
		"the name of the archive is missing":          &BackupEnd{ID: "b", Index: 1, Bytes: 1},
		"the name of the archive has 4097 bytes":      &BackupEnd{ID: "b", Name: strings.Repeat("x", maxTextBytes+1), Index: 1, Bytes: 1},
		"an archive of index 0 with 1 bytes is none":  &BackupEnd{ID: "b", Name: "a", Bytes: 1},
		"an archive of index 1 with -1 bytes is none": &BackupEnd{ID: "b", Name: "a", Index: 1, Bytes: -1},
		`"-" is no name of a node`:                    &BackupEnd{ID: "b", Failure: "x", Proposer: "-"},
	} {
		r := newReplicaUnderTest(t)
		r.wantCode(r.do(c), CodeInvalid, text)
		if r.s.Operating().Backups != nil || r.s.LastEvent() != 0 {
			t.Errorf("%s: the state has changed", text)
		}
	}
	// The largest that is taken survives a snapshot.
	r := newReplicaUnderTest(t)
	r.wantCode(r.do(&BackupBegin{ID: long[1:], Node: strings.Repeat("n", maxNodeName), Every: math.MaxInt64}), CodeOK, "")
	r.wantCode(r.do(&BackupEnd{ID: long[1:], Name: fmt.Sprintf("%0*d", maxTextBytes, 7), Index: math.MaxUint64, Bytes: math.MaxInt64}), CodeOK, "")
	r.survives()
}
