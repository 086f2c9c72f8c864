package rivals

import (
	"strings"
	"testing"
)

// TestH2Report: what h2load reports counts only when all of it went well, in the protocol that was asked for.
func TestH2Report(t *testing.T) {
	const good = `starting benchmark...
Application protocol: h2c
finished in 1.00s, 1012.00 req/s, 1.05MB/s
requests: 1012 total, 1332 started, 1012 done, 1012 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 1012 2xx, 0 3xx, 0 4xx, 0 5xx
`
	for name, c := range map[string]struct{ from, to, spoken, want string }{
		"good":             {spoken: "h2c"},
		"another protocol": {spoken: "h2", want: "h2c was spoken"},
		"some failed":      {from: "1012 succeeded, 0 failed", to: "1000 succeeded, 12 failed", spoken: "h2c", want: "1012 requests, 12 failed"},
		"errors":           {from: "0 errored", to: "7 errored", spoken: "h2c", want: "7 failed"},
		"none":             {from: "1012 done, 1012 succeeded", to: "0 done, 0 succeeded", spoken: "h2c", want: "0 requests"},
		"no report":        {from: "requests:", to: "nothing:", spoken: "h2c", want: "h2load said"},
		"more than fits":   {from: "1012 done", to: "99999999999999999999 done", spoken: "h2c", want: "out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			report := good
			if c.from != "" {
				report = strings.Replace(good, c.from, c.to, 1)
			}
			var f Figures
			err := f.readH2([]byte(report), c.spoken)
			switch {
			case c.want == "" && (err != nil || f.Requests != 1012 || f.Failed != 0):
				t.Errorf("%+v, %v", f, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
