package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// founding are settings of a node that founds a group with two others.
func founding() Config {
	c := valid()
	c.BootstrapExpect, c.Join = 3, []string{"n2:1"}
	return c
}

// TestJoinTokenFromAFile: the file that 'holdfast init --out' writes is all that a node needs.
func TestJoinTokenFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.init")
	if err := os.WriteFile(path, []byte("hfi1.SECRET\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := founding()
	c.DataDir, c.JoinTokenFile = t.TempDir(), path
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if got, err := c.withToken(); err != nil || got.JoinToken != "hfi1.SECRET" || got.Validate() != nil {
		t.Errorf("%q, %v, %v", got.JoinToken, err, got.Validate())
	}
	for text, want := range map[string]string{" \n": "is empty", "SECRET SECRET": "something else", "hfi1.SECRET\nhfi1.SECRET\n": "something else", strings.Repeat("S", maxTokenFile+1): "something else"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "--join-token-file: "+path) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	c.JoinToken = "hfi1.SECRET"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "exclude each other") {
		t.Error(err)
	}
	c.JoinToken, c.JoinTokenFile = "", path+".gone"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "--join-token-file: open "+c.JoinTokenFile) || strings.Contains(err.Error(), "needs the init string") {
		t.Error(err)
	}
}

// TestWhatIsNoInitStringIsCalledSo: who gave something else must not be told that nothing was given.
func TestWhatIsNoInitStringIsCalledSo(t *testing.T) {
	for token, want := range map[string]string{
		"":            "in HOLDFAST_JOIN_TOKEN, in a file that --join-token-file names, or with --join-token",
		"shop.init":   "what was given as --join-token (HOLDFAST_JOIN_TOKEN) is none",
		"hfj1.SECRET": "is a join token (hfj1.…), of a group that is there already",
	} {
		c := founding()
		c.DataDir, c.JoinToken = t.TempDir(), token
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") || token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v, want %q", token, err, want)
		}
	}
}
