package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// program is a build of holdfast.
type program struct {
	path            string
	version, commit string
	sum             string // SHA-256 of the file
	dirty           bool   // built from sources that nobody committed: version and commit do not tell it from another one
	bugless         bool   // known to be built without the known bugs
}

func (p program) record() record.Program { return record.Program{Path: p.path, SHA256: p.sum} }

// findProgram finds the program under test: what was named, else HOLDFAST_BIN, else the one beside this program, else the one in PATH.
func findProgram(ctx context.Context, named string) (program, error) {
	path := named
	if path == "" {
		path = os.Getenv("HOLDFAST_BIN")
	}
	if path == "" {
		if self, err := os.Executable(); err == nil {
			if beside := filepath.Join(filepath.Dir(self), "holdfast"); isFile(beside) {
				path = beside
			}
		}
	}
	if path == "" {
		found, err := exec.LookPath("holdfast")
		if err != nil {
			return program{}, errors.New("no holdfast program: name it with --binary or HOLDFAST_BIN, or put it beside this one")
		}
		path = found
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return program{}, err
	}
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(limited, path, "--version").Output()
	if err != nil {
		return program{}, fmt.Errorf("%s --version: %w: is it the holdfast program?", path, err)
	}
	version, found := strings.CutPrefix(strings.TrimSpace(string(out)), "holdfast ")
	if !found {
		return program{}, fmt.Errorf("%s says of itself %.60q: it is not the holdfast program", path, out)
	}
	p := program{path: path, version: version, dirty: strings.Contains(version, "dirty")}
	p.built()
	if p.sum, err = sumOf(path); err != nil {
		return program{}, fmt.Errorf("read %s: %w", path, err)
	}
	if p.commit == "" { // the version names it as well as it was known to whoever built it
		p.commit, _, _ = strings.Cut(version, " ")
	}
	return p, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// built reads what the Go tools write into a program; of one that was built otherwise, nothing is known.
func (p *program) built() {
	info, err := buildinfo.ReadFile(p.path)
	if err != nil {
		return
	}
	p.bugless = true
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			p.commit = s.Value
		case "vcs.modified":
			p.dirty = p.dirty || s.Value == "true"
		case "-tags":
			p.bugless = !slices.Contains(strings.Split(s.Value, ","), "mutants")
		}
	}
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
