package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/storage"
)

const (
	// syncs is how often a write is made durable, syncTime for how long at most, syncBytes how large it is: about an entry with a few sessions.
	syncs, syncTime, syncBytes = 50, 3 * time.Second, 4096
	// slowSync is from which median on new sessions are felt to wait.
	slowSync = 10 * time.Millisecond
	// hangs is after how long a measurement is given up.
	hangs = 10 * time.Second
)

// stalls is after how long a write of the leader counts as one that has hung (raftnode's timing).
var stalls = map[string]time.Duration{"fast": 250 * time.Millisecond, "lan": time.Second, "wan": 2 * time.Second}

// disk looks at the file system of the data directory: what it is, how much room it has, and how long it takes to make a write durable.
func (v *visit) disk(ctx context.Context) {
	dir := existing(v.Config.DataDir)
	v.fileSystem(dir)
	v.room(dir)
	times, err := inTime(ctx, dir)
	switch {
	case errors.Is(err, errHangs):
		v.find("disk", "sync", Fault, "look at the disk and the way to it (dmesg, multipath -ll, the storage network): a node on it gives up leading, and ends after 30 s", "a write of 4 KiB into %s was not durable after %v: the disk hangs", dir, hangs)
		return
	case errors.Is(err, errors.ErrUnsupported):
		v.find("disk", "sync", Skipped, "", "it cannot be measured on this file system without leaving a file")
		return
	case errors.Is(err, fs.ErrPermission):
		v.find("disk", "sync", Skipped, "", "this user may not write into %s", dir)
		return
	case err != nil:
		v.find("disk", "sync", Fault, "look at the disk (dmesg, smartctl): a node ends with exit status 4 when a sync fails", "a write of 4 KiB into %s could not be made durable: %v", dir, err)
		return
	}
	v.judgeSyncs(times)
}

// inTime is timeSyncs, but it does not wait for a disk that hangs.
func inTime(ctx context.Context, dir string) ([]time.Duration, error) {
	type result struct {
		times []time.Duration
		err   error
	}
	done := make(chan result, 1)
	go func() {
		times, err := timeSyncs(ctx, dir)
		done <- result{times, err}
	}()
	patience := time.NewTimer(hangs)
	defer patience.Stop()
	select {
	case r := <-done:
		return r.times, r.err
	case <-patience.C:
		return nil, errHangs
	}
}

var errHangs = errors.New("the disk hangs")

func (v *visit) judgeSyncs(times []time.Duration) {
	slices.Sort(times)
	median, longest := times[len(times)/2], times[len(times)-1]
	text := fmt.Sprintf("%d writes of 4 KiB took %v each to be durable, the longest %v", len(times), median.Round(10*time.Microsecond), longest.Round(10*time.Microsecond))
	switch stall := stalls[v.Config.Timing]; {
	case stall > 0 && longest >= stall:
		v.find("disk", "sync", Fault, "give the data directory a disk of its own, with a write cache that survives a power cut; or --timing wan for a disk that is slow for good",
			"%s: a leader gives up leading after %v (--timing %s)", text, stall, v.Config.Timing)
	case median >= slowSync:
		v.find("disk", "sync", Warning, "an SSD with power-loss protection needs well below 1 ms; look who else writes there (iostat -x)", "%s: new sessions and changes wait for that on a majority of the nodes", text)
	default:
		v.find("disk", "sync", OK, "", "%s", text)
	}
}

func (v *visit) room(dir string) {
	s, err := storage.SpaceOf(dir)
	if err != nil {
		v.find("disk", "room", Skipped, "", "%v", err)
		return
	}
	text := fmt.Sprintf("%s of %s are free below %s", sizeText(s.Free), sizeText(s.Total), dir)
	switch {
	case s.Free < s.Reserve:
		v.find("disk", "room", Fault, "make room, or move the data directory to a larger disk: the node goes on by itself as soon as there is room", "%s, less than the %s below which a node takes no new writes", text, sizeText(s.Reserve))
	case s.Free < 2*s.Reserve:
		v.find("disk", "room", Warning, "make room, or move the data directory to a larger disk", "%s; below %s a node takes no new writes", text, sizeText(s.Reserve))
	default:
		v.find("disk", "room", OK, "", "%s", text)
	}
}

func sizeText(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
