package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// checked is the outcome of config validate for one file.
type checked struct {
	File     string         `json:"file"`
	Valid    bool           `json:"valid"`
	Errors   []config.Error `json:"errors"`
	Warnings []string       `json:"warnings"`
}

func newConfigValidateCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check configuration files, without a running group",
		Example: `  holdfast config validate shop.yaml
  holdfast config validate -o json shop.yaml test.yaml
  generate-config | holdfast config validate -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			var results []checked
			var faults config.Errors
			for _, file := range files {
				data, err := g.readInput(file, maxConfigFile)
				if err != nil {
					return fmt.Errorf("validate configuration: %w", err)
				}
				r := check(fileName(file), data)
				faults = append(faults, r.Errors...)
				results = append(results, r)
			}
			err := g.print(results, func(w io.Writer) error {
				for _, r := range results {
					for _, text := range r.Warnings {
						fmt.Fprintf(g.err, "warning: %s: %s\n", clean(r.File), clean(text))
					}
					if r.Valid {
						fmt.Fprintf(w, "%s is valid\n", clean(r.File))
					}
				}
				return nil
			})
			if err == nil && len(faults) > 0 {
				return faults
			}
			return err
		},
	}
}

func check(name string, data []byte) checked {
	r := checked{File: name, Errors: []config.Error{}, Warnings: []string{}}
	c, err := config.Parse(name, data)
	var faults config.Errors
	switch {
	case err == nil:
		r.Valid = true
		r.Warnings = append(r.Warnings, c.Warnings()...)
	case errors.As(err, &faults):
		r.Errors = faults
	default:
		r.Errors = append(r.Errors, config.Error{File: name, Message: err.Error()})
	}
	return r
}
