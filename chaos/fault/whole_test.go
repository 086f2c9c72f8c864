package fault

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/operate"
)

// changed keeps what an operator was told.
type changed struct {
	silent
	errs []error
}

func (c *changed) Changed(_ time.Time, _ *client.ConfigResult, err error) {
	c.errs = append(c.errs, err)
}

// TestWhomAnOperatorAsks: the node that is named first, and where that refuses the next one; what it was told of the whole attempt is what counts.
func TestWhomAnOperatorAsks(t *testing.T) {
	for name, c := range map[string]struct {
		first, refuses int
		want           []string
	}{"it does it": {2, -1, []string{"n3"}}, "it refuses": {1, 1, []string{"n2", "n3"}}, "the last one refuses": {2, 2, []string{"n3", "n1"}}} {
		t.Run(name, func(t *testing.T) {
			f, told := stilled(), &changed{}
			f.Witness = told
			var asked []string
			for i, n := range f.Stage.Group.Nodes {
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					asked = append(asked, n.Name)
					if i == c.refuses {
						w.Header().Set("Content-Type", "application/problem+json")
						w.WriteHeader(http.StatusServiceUnavailable)
						_, _ = w.Write([]byte(`{"status":503,"code":"no-quorum","title":"no majority"}`))
						return
					}
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"revision":7}`))
				}))
				t.Cleanup(s.Close)
				n.Admin = s.URL
			}
			err := f.EditFrom(context.WithoutCancel(t.Context()), c.first, operate.Edit{Op: "set", Kind: "instance", Cluster: "plain", Name: "instance1", Values: map[string]any{"weight": 2}})
			if err != nil || !slices.Equal(asked, c.want) || len(told.errs) != 1 || errors.Join(told.errs...) != nil {
				t.Errorf("asked %v, want %v; told %v; %v", asked, c.want, told.errs, err)
			}
		})
	}
}
