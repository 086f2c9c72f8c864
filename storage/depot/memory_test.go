package depot

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/s3test"
)

// TestMemoryOfAnUpload: no more than one part is held, however large the archive is. The store forgets what it gets, so that its memory does not count.
func TestMemoryOfAnUpload(t *testing.T) {
	const size = 192 << 20
	s, b := rig(t, "s3://backups/p")
	b.partSize = 4 << 20
	var most uint64
	s.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.RawQuery, "partNumber=") {
			return false
		}
		if strings.Contains(r.URL.RawQuery, "partNumber=40&") {
			s3test.Refuse(w, http.StatusForbidden, "QuotaExceeded", "Enough.")
			return true
		}
		_, _ = io.Copy(io.Discard, r.Body)
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		w.Header().Set("ETag", `"x"`)
		return true
	})
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	_, err := b.Put(t.Context(), writing(header("shop", 9), size))
	if err == nil || !strings.Contains(err.Error(), "upload part 40") {
		t.Fatal(err)
	}
	if most == 0 || most > m.HeapAlloc+24<<20 {
		t.Errorf("%d MiB while 160 MiB were sent, %d MiB before", most>>20, m.HeapAlloc>>20)
	}
	t.Logf("%.1f MiB more than before while 156 MiB were sent in parts of 4 MiB", float64(most-min(most, m.HeapAlloc))/(1<<20))
	if len(s.Keys()) != 0 || s.Uploads() != 0 {
		t.Error("something is left")
	}
}
