package admin

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// What status says of scheduled backups, and when it is a problem.
func TestBackupStatus(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	member := func(name string, reachable bool, every time.Duration) Member {
		m := Member{Name: name, Reachable: reachable}
		if every > 0 {
			m.Backup = &BackupSetting{To: "/backup", Every: every, Keep: 24}
		}
		return m
	}
	three := []Member{member("n1", true, 0), member("n2", true, 2*time.Hour), member("n3", true, time.Hour)}
	none := []Member{member("n1", true, 0), member("n2", true, 0)}
	away := []Member{member("n1", true, 0), member("n2", false, 0)}
	good := func(age time.Duration) *fsm.Backups {
		return &fsm.Backups{First: ago(1000 * time.Hour), Every: time.Hour, ID: "b", Node: "n3", Begun: ago(age), Ended: ago(age - time.Second),
			Good: &fsm.GoodBackup{Node: "n3", Name: "/backup/a.hfb", Index: 7, Bytes: 9, At: ago(age)}}
	}
	failing := func(age time.Duration, n int) *fsm.Backups {
		b := good(age)
		b.Begun, b.Ended, b.Failure, b.Failures = ago(time.Minute), ago(time.Second), "no space left", n
		return b
	}
	first := failing(0, 3)
	first.Good, first.First = nil, ago(3*time.Hour)
	for name, tt := range map[string]struct {
		b       *fsm.Backups
		members []Member
		want    string
	}{
		"no schedule":            {nil, none, ""},
		"not begun":              {nil, three, ""},
		"all is well":            {good(time.Hour), three, ""},
		"at the limit":           {good(2 * time.Hour), three, ""},
		"too old":                {good(2*time.Hour + time.Second), three, "the newest scheduled backup that is whole is 2h0m1s old (/backup/a.hfb on node n3), and one is due every 1h0m0s"},
		"by a longer interval":   {good(3 * time.Hour), three[:2], ""},
		"fails":                  {failing(time.Hour, 1), three, "the scheduled backup fails on node n3: no space left; it is tried again"},
		"fails for long":         {failing(3*time.Hour, 4), three, "the scheduled backup has failed 4 times in a row, the last time on node n3: no space left; it is tried again|the newest scheduled backup that is whole is 3h0m0s old (/backup/a.hfb on node n3), and one is due every 1h0m0s"},
		"never a good one":       {first, three, "the scheduled backup has failed 3 times in a row, the last time on node n3: no space left; it is tried again|there is no scheduled backup that is whole, and they have been due every 1h0m0s"},
		"nobody has it any more": {failing(30*time.Hour, 2), none, "scheduled backups have stopped: no node runs with --backup-to any more; the last one failed on node n3: no space left; start the nodes with it again (30 days after the last attempt this is taken for meant)"},
		"stopped":                {good(30 * time.Hour), none, "scheduled backups have stopped: no node runs with --backup-to any more, and the newest one is 30h0m0s old; start the nodes with it again (30 days after the last attempt this is taken for meant)"},
		"stopped just now":       {good(2 * time.Hour), none, ""},
		"stopped for good":       {good(31 * 24 * time.Hour), none, ""},
		"who has it is away":     {good(30 * time.Hour), away, "the newest scheduled backup that is whole is 30h0m0s old (/backup/a.hfb on node n3), and one is due every 1h0m0s; no node that answers runs with --backup-to"},
	} {
		s := &wire.Status{Backups: wireBackups(tt.b, tt.members)}
		for _, m := range tt.members {
			s.Nodes = append(s.Nodes, wire.Node{Name: m.Name, Reachable: m.Reachable})
		}
		if got := strings.Join(backupProblems(s, now), "|"); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, tt.want)
		}
		if (s.Backups == nil) != (name == "no schedule") {
			t.Errorf("%s: %+v", name, s.Backups)
		}
	}
	got := wireBackups(good(time.Hour), three)
	want := &wire.Backups{
		Nodes:        []wire.BackupNode{{Node: "n2", To: "/backup", EverySeconds: 7200, Keep: 24}, {Node: "n3", To: "/backup", EverySeconds: 3600, Keep: 24}},
		EverySeconds: 3600, Since: ago(time.Hour), Last: &wire.BackupAttempt{ID: "b", Node: "n3", Begun: ago(time.Hour), Ended: ago(time.Hour - time.Second)},
		Good: &wire.GoodBackup{Node: "n3", Name: "/backup/a.hfb", Index: 7, Bytes: 9, At: ago(time.Hour)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
