package main

import (
	"errors"
	"os"
	"strings"
)

// writeOutput writes a file by way of a new one beside it, so that a reader never sees half of it; - is standard output.
func (g *globals) writeOutput(name string, data []byte) error {
	if name == "-" {
		_, err := g.out.Write(data)
		return err
	}
	f, err := os.CreateTemp(dirOf(name), ".holdfast-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func dirOf(name string) string {
	if i := strings.LastIndexByte(name, os.PathSeparator); i >= 0 {
		return name[:i+1]
	}
	return "."
}
