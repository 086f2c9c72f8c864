package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
	"github.com/spf13/pflag"
)

// groupKeys are settings that users of other balancers look for in a node's file. They belong to the group.
var groupKeys = map[string]bool{
	"listeners": true, "clusters": true, "onQuorumLoss": true, "holder": true, "proxy": true, "modules": true, "instances": true, "affinity": true, "health": true, "policy": true,
}

const maxNodeFile = 64 << 10 // bytes

// settle fills every flag that was not given on the command line from its HOLDFAST_* variable, else from the node's file:
// flag beats variable beats file. It reports all faults at once.
func settle(flags *pflag.FlagSet, path string, lookupEnv func(string) (string, bool)) error {
	file, err := readNodeFile(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(file)) {
		switch flag := flags.Lookup(key); {
		case groupKeys[key]:
			errs = append(errs, fmt.Errorf("node file %s: %q is a setting of the group, not of a node: put it into the group's configuration with 'holdfast config apply'", path, key))
		case flag == nil || key == "config" || key == "help":
			errs = append(errs, fmt.Errorf("node file %s: unknown key %q; the keys are the long flags of 'holdfast serve --help' without the dashes", path, key))
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" {
			return
		}
		variable := "HOLDFAST_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := lookupEnv(variable); ok && f.Name != "config" {
			if err := flags.Set(f.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", variable, err))
			}
			return
		}
		if value, ok := file[f.Name]; ok {
			text, err := scalar(value)
			if err == nil {
				err = flags.Set(f.Name, text)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("node file %s: %s: %w", path, f.Name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// readNodeFile reads a flat mapping; an empty path or file has no settings.
func readNodeFile(path string) (map[string]any, error) {
	settings := map[string]any{}
	if path == "" {
		return settings, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("node file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxNodeFile+1))
	if err != nil {
		return nil, fmt.Errorf("node file %s: %w", path, err)
	}
	if len(data) > maxNodeFile {
		return nil, fmt.Errorf("node file %s: larger than %d bytes", path, maxNodeFile)
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("node file %s: is not UTF-8 text", path)
	}
	for _, tok := range lexer.Tokenize(string(data)) {
		// References can make a small file expand without bound, and a flat list of settings has no use for them.
		if tok.Type == token.AnchorType || tok.Type == token.AliasType {
			return nil, fmt.Errorf("node file %s:%d: anchors and aliases are not allowed", path, tok.Position.Line)
		}
	}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&settings); err != nil && !errors.Is(err, io.EOF) {
		// Without the lines around the fault: one of them may hold the join token.
		return nil, fmt.Errorf("node file %s: %s", path, yaml.FormatError(err, false, false))
	}
	return settings, nil
}

// scalar gives a value of the file in the form that a flag takes.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			text, err := scalar(e)
			if err != nil {
				return "", err
			}
			if strings.Contains(text, ",") {
				return "", fmt.Errorf("%q: a comma separates values", text)
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), nil
	case string, bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	case nil:
		return "", errors.New("has no value")
	default:
		return "", errors.New("is not a plain value or a list of them")
	}
}
