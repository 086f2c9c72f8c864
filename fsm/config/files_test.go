package config

import (
	"strings"
	"testing"
)

// TestFilesAndHardTimeoutsRefuse: TIP-14, SUN-52. What is wrong with files, with the path below which they are, and with hard time-outs, is said with its place.
func TestFilesAndHardTimeoutsRefuse(t *testing.T) {
	for values, want := range map[string]string{
		"errorPages: [{status: 503, file: ../sorry.html}]":      `proxy.errorPages[0].file: "../sorry.html" cannot be the name of a file`,
		"errorPages: [{status: 503, file: a/b.html}]":           "cannot be the name of a file",
		"errorPages: [{status: 503, file: .html}]":              "cannot be the name of a file",
		"errorPages: [{status: 503, file: 'a b.html'}]":         "cannot be the name of a file",
		"errorPages: [{status: 503, file: \"a\\x00.html\"}]":    "cannot be the name of a file",
		"errorPages: [{status: 503, file: sorry.png}]":          "name a file that ends in .html, .json or .txt",
		"errorPages: [{status: 503, file: sorry}]":              "does not say which form of the page it is",
		"errorPages: [{status: 503, file: a.html, html: x}]":    "the page has its html form already",
		"errorPages: [{status: 503, file: a.json, json: '{}'}]": "the page has its json form already",
		"errorPages: [{status: 503, file: a.txt, text: x}]":     "the page has its text form already",
		"errorPages: [{status: 503, file: [a]}]":                "must be text",
		"filesPath: /":                                          `proxy.filesPath: "/" is no path that begins and ends with a slash`,
		"filesPath: //":                                         "is no path that begins and ends with a slash",
		"filesPath: /files":                                     "write it as in /_files/",
		"filesPath: files/":                                     "begins and ends with a slash",
		"filesPath: /a//b/":                                     "has a part that is not made of letters",
		"filesPath: /../":                                       "has a part that is not made of letters",
		"filesPath: /a/./":                                      "has a part that is not made of letters",
		"filesPath: /a%2fb/":                                    "has a part that is not made of letters",
		"filesPath: '/a b/'":                                    "has a part that is not made of letters",
		"filesPath: '/a;b/'":                                    "has a part that is not made of letters",
		"filesPath: /ä/":                                        "has a part that is not made of letters",
		"filesPath: /" + strings.Repeat("x", 127) + "/":         "of 3 to 128 characters",
	} {
		refused(t, "proxy: {"+values+"}", want)
	}
	for values, want := range map[string]string{
		"hardTimeout: -1s": "clusters[0].hardTimeout: -1s is out of range", "hardTimeout: 9000h": "out of range", "hardTimeout: 30": "a duration needs a unit",
		"instances: [{name: i, listeners: ['http://h:1'], hardTimeout: -1s}]": "clusters[0].instances[0].hardTimeout: -1s is out of range",
		"modules: [{contextRoot: /, hardTimeout: 1s}]":                        "unknown key",
	} {
		refused(t, "clusters: [{name: a, "+values+"}]", want)
	}
	c := mustParse(t, "proxy: {filesPath: /_files/v1.2/, errorPages: [{status: 503, file: sorry.html, text: sorry}, {status: 404, file: none.json}]}\n"+
		"clusters: [{name: a, hardTimeout: 5m, instances: [{name: i, listeners: ['http://h:1'], hardTimeout: 1m}]}]")
	if got := strings.Join(c.NamedFiles(), " "); got != "sorry.html none.json" || c.Proxy.FilesPath != "/_files/v1.2/" || c.Clusters[0].HardTimeout != 300*second || c.Clusters[0].Instances[0].HardTimeout != 60*second {
		t.Errorf("%s %+v", got, c.Proxy)
	}
	again := mustParse(t, string(c.Canonical()))
	if string(again.Canonical()) != string(c.Canonical()) {
		t.Error("the canonical form is another configuration")
	}
}

// FuzzFileName: a name leads nowhere but to a file, in a path of a URL and on a disk.
func FuzzFileName(f *testing.F) {
	for _, seed := range []string{"a", "sorry.html", "..", ".a", "a/b", "a%2f", "", "A-1_x.Y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if FileName(name) && (len(name) > 128 || strings.ContainsAny(name, "/\\%?#;: \x00\r\n\"'<>") || strings.Trim(name, ".") == "" || name[0] == '.' || name[0] == '-') {
			t.Errorf("%q", name)
		}
	})
}
