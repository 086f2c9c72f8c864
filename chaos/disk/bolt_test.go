package disk

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestMappedFiles: a database that reads its file by a mapping and writes it by calls sees what it has written, as on any disk. The user is a child of this test.
func TestMappedFiles(t *testing.T) {
	if path := os.Getenv("HOLDFAST_TEST_BOLT"); path != "" {
		if err := useBolt(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if Missing() != nil {
		return // TestDisk looks at what is said then
	}
	d, err := Mount(t.TempDir(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	child := exec.Command(os.Args[0], "-test.run=^TestMappedFiles$", "-test.timeout=2m")
	child.Env = append(os.Environ(), "HOLDFAST_TEST_BOLT="+filepath.Join(d.Path, "raft.db"))
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// useBolt writes and deletes as a log does, while others read, and checks the file.
func useBolt(path string) error {
	options := &bolt.Options{NoFreelistSync: true, Timeout: 10 * time.Second}
	db, err := bolt.Open(path, 0o600, options)
	if err != nil {
		return err
	}
	name := []byte("logs")
	key := func(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }
	random := rand.New(rand.NewPCG(1, 1))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = db.View(func(tx *bolt.Tx) error {
						if b := tx.Bucket(name); b != nil {
							return b.ForEach(func(_, _ []byte) error { return nil })
						}
						return nil
					})
				}
			}
		})
	}
	last, first := uint64(0), uint64(1)
	for range 600 {
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			for range 1 + random.IntN(5) {
				last++
				if err := b.Put(key(last), make([]byte, 100+random.IntN(3000))); err != nil {
					return err
				}
			}
			for last-first > 200 {
				if err := b.Delete(key(first)); err != nil {
					return err
				}
				first++
			}
			return nil
		})
		if err != nil {
			break
		}
	}
	close(done)
	readers.Wait()
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if db, err = bolt.Open(path, 0o600, options); err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		for i := first; i <= last; i++ {
			if tx.Bucket(name).Get(key(i)) == nil {
				return fmt.Errorf("entry %d of %d to %d is missing", i, first, last)
			}
		}
		return nil
	})
}
