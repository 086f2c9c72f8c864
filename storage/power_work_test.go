package storage

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"

	"github.com/hashicorp/raft"
)

// workload writes as a node does, below dir, and marks in a file beside it what it was promised, before it goes on. When an operation finds no room it is tried again.
func workload(dir, marks string, steps int) error {
	f, err := os.OpenFile(marks, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	mark := func(word string, n uint64) error {
		_, err := fmt.Fprintf(f, "%-31s\n", fmt.Sprint(word, " ", n)) // of one size, so that none lies across two pages
		return err
	}
	shrinkWaste = 32 << 10 // so that it is among what is done
	d, err := Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.SetIdentity(testIdentity), mark("identity", 0)); err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for step := range steps {
		if err := workStep(d, rnd, step, mark); err != nil {
			return err
		}
	}
	return d.Close()
}

func workStep(d *Dir, rnd *rand.Rand, step int, mark func(string, uint64) error) error {
	log := d.Log()
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	n := 1 + rnd.Uint64N(12)
	if err := patient(func() error {
		return errors.Join(log.StageCommitIndex(last), log.StoreLogs(entries(last+1, last+n, 300)))
	}); err != nil {
		return err
	}
	if err := errors.Join(mark("stored", last+n), mark("committed", last)); err != nil {
		return err
	}
	last += n
	switch step % 7 {
	case 2:
		if err := patient(func() error { return d.Stable().SetUint64([]byte("CurrentTerm"), uint64(step)) }); err != nil {
			return err
		}
		return mark("term", uint64(step))
	case 4: // entries that no majority had: committed ones stay
		if err := mark("cutting", last-1); err != nil {
			return err
		}
		return patient(func() error { return log.DeleteRange(last, last) })
	case 6:
		if err := patient(func() error { return snapshotAt(d, last) }); err != nil {
			return err
		}
		if err := mark("snapshot", last); err != nil {
			return err
		}
		if err := patient(func() error { return log.DeleteRange(1, last-5) }); err != nil {
			return err
		}
		return mark("compacted", last-4)
	}
	return nil
}

func snapshotAt(d *Dir, index uint64) error {
	sink, err := d.Snapshots().Create(1, index, 1, raft.Configuration{}, 1, nopTransport())
	if err != nil {
		return err
	}
	if _, err := io.WriteString(sink, snapshotText(index)); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func snapshotText(index uint64) string {
	return strings.Repeat(fmt.Sprintf("state at %d\n", index), 400)
}

// patient tries again while there is no room, for a while.
func patient(f func() error) error {
	for range 200 {
		err := f()
		if !errors.Is(err, ErrNoSpace) && !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return errors.New("there was never room again")
}
