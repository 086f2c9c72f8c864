package depot

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Location{
		"s3://backups":                   {Bucket: "backups"},
		"s3://backups/":                  {Bucket: "backups"},
		"s3://my.back-ups.2/a/b":         {Bucket: "my.back-ups.2", Prefix: "a/b"},
		"s3://backups/a b/":              {Bucket: "backups", Prefix: "a b"},
		"s3://backups/a/shop-1-7.hfb":    {Bucket: "backups", Prefix: "a", Name: "shop-1-7.hfb"},
		"s3://backups/shop-1-7.hfb":      {Bucket: "backups", Name: "shop-1-7.hfb"},
		"s3://backups/dir.hfb/":          {Bucket: "backups", Prefix: "dir.hfb"},
		"s3://backups/" + long("p", 700): {Bucket: "backups", Prefix: long("p", 700)},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := Parse(got.String()); err != nil || again != got && !strings.HasSuffix(text, "hfb/") {
			t.Errorf("%s: as %s it is %+v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"":                               "does not begin with s3://",
		"backups":                        "does not begin with s3://",
		"S3://backups":                   "does not begin with s3://",
		"s3://":                          "is no name of a bucket",
		"s3:///a":                        "is no name of a bucket",
		"s3://ab":                        "is no name of a bucket",
		"s3://Backups":                   "is no name of a bucket",
		"s3://a..b":                      "is no name of a bucket",
		"s3://-ab":                       "is no name of a bucket",
		"s3://" + long("b", 64):          "is no name of a bucket",
		"s3://key:hunter2@backups/a":     "credentials come from the environment",
		"s3://host:9000/backups":         "--s3-endpoint",
		"s3://backups//a":                "an empty part",
		"s3://backups/a//b":              "an empty part",
		"s3://backups/../b":              "an empty part, . or ..",
		"s3://backups/./b":               "an empty part, . or ..",
		"s3://backups/a\nb":              "not to be printed",
		"s3://backups/\xff":              "not to be printed",
		"s3://backups/" + long("p", 701): "has 701 bytes",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func long(s string, n int) string { return strings.Repeat(s, n) }

// FuzzParse: what is taken is printed as something that means the same, and its keys stay below the prefix.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"s3://backups/a/b.hfb", "s3://b", "s3://backups/..", "s3://a@b:c/d", "s3://backups/\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(l.String())
		if strings.HasSuffix(l.Prefix, ".hfb") && l.Name == "" {
			return // its slash at the end is what tells it from an archive
		}
		if err != nil || again != l {
			t.Fatalf("%q: %+v, as %s %+v, %v", text, l, l, again, err)
		}
		if key := l.key("x.hfb"); len(key) > 1024 || strings.HasPrefix(key, "/") || strings.Contains(key, "//") || strings.Contains("/"+key+"/", "/../") {
			t.Fatalf("%q: key %q", text, key)
		}
	})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for _, p := range pairs {
				if k, v, _ := strings.Cut(p, "="); k == name {
					return v
				}
			}
			return ""
		}
	}
	keys := []string{"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=hunter2"}
	for name, tt := range map[string]struct {
		address, endpoint string
		env               []string
		want              []string
	}{
		"everything":     {"s3://B", "ftp://x", nil, []string{"is no name of a bucket", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", `"ftp://x" is not https://HOST[:PORT]`}},
		"half a key":     {"s3://backups", "", keys[:1], []string{"credentials of the store are missing"}},
		"no scheme":      {"s3://backups", "minio:9000", keys, []string{"--s3-endpoint"}},
		"a path":         {"s3://backups", "https://minio/backups", keys, []string{"is not https://HOST[:PORT]"}},
		"a password":     {"s3://backups", "https://me:hunter2@minio", keys, []string{"credentials do not belong into a URL"}},
		"no URL":         {"s3://backups", "https://hunter2:x y/", keys, []string{"is no URL"}},
		"in a variable":  {"s3://backups", "", append([]string{"AWS_ENDPOINT_URL=nowhere"}, keys...), []string{`AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL: "nowhere"`}},
		"no host at all": {"s3://backups", "https://", keys, []string{"is not https://HOST[:PORT]"}},
	} {
		_, err := Open(tt.address, Options{Endpoint: tt.endpoint, Getenv: env(tt.env...)})
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
		}
	}
	for name, tt := range map[string]struct {
		endpoint string
		env      []string
		want     string
	}{
		"AWS":              {"", keys, "https://s3.amazonaws.com"},
		"AWS in a region":  {"", append([]string{"AWS_REGION=eu-central-1"}, keys...), "https://s3.dualstack.eu-central-1.amazonaws.com"},
		"a flag":           {"https://minio.example:9000/", append([]string{"AWS_ENDPOINT_URL=https://other"}, keys...), "https://minio.example:9000"},
		"its own variable": {"", append([]string{"AWS_ENDPOINT_URL_S3=http://a:1", "AWS_ENDPOINT_URL=http://b:1"}, keys...), "http://a:1"},
		"the other":        {"", append([]string{"AWS_ENDPOINT_URL=http://b:1"}, keys...), "http://b:1"},
	} {
		b, err := Open("s3://backups/p", Options{Endpoint: tt.endpoint, Getenv: env(tt.env...)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := b.core.EndpointURL().String(); name != "AWS in a region" && got != tt.want {
			t.Errorf("%s: %s", name, got)
		}
		b.Close()
	}
}
