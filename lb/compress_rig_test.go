package lb

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// compressing is conf with a module that compresses.
func compressing(instances ...config.Instance) *config.Config {
	c := conf(instances...)
	c.Clusters[0].Modules[0].Compression = new(config.DefaultCompression())
	return c
}

// longText is worth compressing.
var longText = strings.Repeat("<p>All happy pages are alike; each unhappy page is unhappy in its own way.</p>\n", 500)

// ask makes a request that takes the encodings; "" says nothing of them.
func ask(t testing.TB, method, url, accept string, fields ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		r.Header.Set("Accept-Encoding", accept)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

// decoded undoes the encoding of a whole body.
func decoded(t testing.TB, encoding, body string) string {
	t.Helper()
	var from io.Reader = strings.NewReader(body)
	var err error
	switch encoding {
	case "gzip":
		from, err = gzip.NewReader(from)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(from, zstd.WithDecoderMaxWindow(8<<20)); err == nil {
			defer z.Close()
			from = z
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, from); err != nil {
		t.Fatalf("%s: %v", encoding, err)
	}
	return b.String()
}
