package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program is a build of holdfast.
type program struct {
	path            string
	version, commit string
}

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
	p := program{path: path, version: version, commit: commitOf(path)}
	if p.commit == "" { // the version names it as well as it was known to whoever built it
		p.commit, _, _ = strings.Cut(version, " ")
	}
	return p, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// commitOf reads the commit that the Go tools write into a program; empty when there is none.
func commitOf(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
