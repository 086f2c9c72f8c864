package h2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
)

func TestRepeatedSettings(t *testing.T) {
	window := func(v uint32) http2.Setting { return http2.Setting{ID: http2.SettingInitialWindowSize, Val: v} }
	streams := http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7}
	table := func(v uint32) http2.Setting { return http2.Setting{ID: http2.SettingHeaderTableSize, Val: v} }
	for name, c := range map[string]struct{ sent, want []http2.Setting }{
		"none":                    {nil, nil},
		"one":                     {[]http2.Setting{window(1)}, []http2.Setting{window(1)}},
		"different ones":          {[]http2.Setting{window(1), streams}, []http2.Setting{window(1), streams}},
		"the last counts":         {[]http2.Setting{window(1), streams, window(2), window(3)}, []http2.Setting{streams, window(3)}},
		"a value not allowed":     {[]http2.Setting{window(1 << 31), window(2)}, []http2.Setting{window(1 << 31), window(2)}},
		"size of the table":       {[]http2.Setting{table(0), table(4096)}, []http2.Setting{table(0), table(4096)}},
		"more than are looked at": {repeated(window(1), 101), repeated(window(1), 101)},
	} {
		write := func(s []http2.Setting) []byte {
			return frames(func(f *http2.Framer) {
				f.WritePing(false, [8]byte{1})
				f.WriteSettings(s...)
				f.WriteSettingsAck()
				f.WriteData(1, false, []byte("abc"))
			})
		}
		sent, want := append([]byte(preface), write(c.sent)...), append([]byte(preface), write(c.want)...)
		for piece := 1; piece <= len(sent); piece += 5 {
			r := NewConn(nil, nil, Options{})
			var got []byte
			for rest := sent; len(rest) > 0; {
				n := min(piece, len(rest))
				if v := r.judge(rest[:n]); v != nil {
					t.Fatal(v)
				}
				got = append(got, r.ready...)
				rest = rest[n:]
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%s, in pieces of %d: %x, want %x", name, piece, got, want)
			}
		}
	}
}

func repeated(s http2.Setting, n int) (all []http2.Setting) {
	for range n {
		all = append(all, s)
	}
	return all
}
