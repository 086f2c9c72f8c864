package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// fieldFlags are flags that stand for fields of the configuration. Only those that are given become values of an edit.
type fieldFlags struct {
	fields []fieldFlag
	extra  []string // --set KEY=VALUE
}

// fieldFlag is one flag. key is a field, or a field of a part as in health.path.
type fieldFlag struct {
	flag, key string
	value     func() any
}

func (f *fieldFlags) text(cmd *cobra.Command, flag, key, usage string) {
	v := cmd.Flags().String(flag, "", usage)
	f.fields = append(f.fields, fieldFlag{flag, key, func() any { return *v }})
}

func (f *fieldFlags) texts(cmd *cobra.Command, flag, key, usage string) {
	v := cmd.Flags().StringSlice(flag, nil, usage)
	f.fields = append(f.fields, fieldFlag{flag, key, func() any { return append([]string{}, *v...) }})
}

func (f *fieldFlags) number(cmd *cobra.Command, flag, key, usage string) {
	v := cmd.Flags().Int(flag, 0, usage)
	f.fields = append(f.fields, fieldFlag{flag, key, func() any { return *v }})
}

func (f *fieldFlags) boolean(cmd *cobra.Command, flag, key, usage string) {
	v := cmd.Flags().Bool(flag, false, usage)
	f.fields = append(f.fields, fieldFlag{flag, key, func() any { return *v }})
}

func (f *fieldFlags) duration(cmd *cobra.Command, flag, key, usage string) {
	v := cmd.Flags().Duration(flag, 0, usage)
	f.fields = append(f.fields, fieldFlag{flag, key, func() any { return config.Duration(*v) }})
}

// any adds --set, which reaches every field.
func (f *fieldFlags) any(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.extra, "set", nil, "`KEY=VALUE`: any other field, as in health.path=/ping; the value is JSON or text (digits that are text: 'version=\"2\"'), null: the default")
}

// given collects the values of the flags that are given.
func (f *fieldFlags) given(cmd *cobra.Command) (map[string]any, error) {
	out := map[string]any{}
	for _, field := range f.fields {
		if cmd.Flags().Changed(field.flag) {
			put(out, field.key, field.value())
		}
	}
	for _, text := range f.extra {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, usagef(cmd, "--set %q: want KEY=VALUE, as in health.path=/ping", text)
		}
		if !put(out, key, jsonOrText(value)) {
			return nil, usagef(cmd, "--set %q: %s is set as a whole already", text, key)
		}
	}
	return out, nil
}

// jsonOrText takes true, 5, null, ["a"] and "a" for what they are, and everything else for text.
func jsonOrText(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

// put sets a value, and the parts that it is in.
func put(into map[string]any, key string, value any) bool {
	parts := strings.Split(key, ".")
	for _, part := range parts[:len(parts)-1] {
		inner, ok := into[part].(map[string]any)
		if !ok {
			if _, taken := into[part]; taken {
				return false
			}
			inner = map[string]any{}
			into[part] = inner
		}
		into = inner
	}
	into[parts[len(parts)-1]] = value
	return true
}

// patterns reads --idempotent PATTERN[=N]: N is how many other instances are tried, all without it.
func patterns(cmd *cobra.Command, list []string) ([]config.Pattern, error) {
	out := []config.Pattern{}
	for _, text := range list {
		p := config.Pattern{Pattern: text, Retries: -1}
		if at := strings.LastIndexByte(text, '='); at >= 0 {
			n, err := strconv.Atoi(text[at+1:])
			if err != nil || n < -1 {
				return nil, usagef(cmd, "--idempotent %q: want PATTERN or PATTERN=N, as in /status/*=2", text)
			}
			p.Pattern, p.Retries = text[:at], n
		}
		if p.Pattern == "" {
			return nil, usagef(cmd, "--idempotent %q: the pattern is missing", text)
		}
		out = append(out, p)
	}
	return out, nil
}

// checkTimeout reads --timeout of disable as a value of the configuration, nothing when it is not given.
func checkTimeout(cmd *cobra.Command, d time.Duration) (map[string]any, error) {
	if !cmd.Flags().Changed("timeout") {
		return nil, nil
	}
	if d < time.Second {
		return nil, usagef(cmd, "--timeout %v: want 1s or more; --now stops without a quiesce", d)
	}
	return map[string]any{"quiesceTimeout": config.Duration(d)}, nil
}

// disableTimeouts are the time-outs that 'instance disable' sets along with it.
type disableTimeouts struct{ quiesce, hard time.Duration }

func (t *disableTimeouts) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&t.quiesce, "timeout", 0, "how long they quiesce at most: sets quiesceTimeout to `TIME`")
	cmd.Flags().DurationVar(&t.hard, "hard-timeout", 0, "how long after that requests in flight may go on, before they are ended: sets hardTimeout to `TIME`")
}

// given reads them as values of the configuration, nothing when none is given.
func (t *disableTimeouts) given(cmd *cobra.Command) (map[string]any, error) {
	values, err := checkTimeout(cmd, t.quiesce)
	if err != nil || !cmd.Flags().Changed("hard-timeout") {
		return values, err
	}
	if t.hard < 0 {
		return nil, usagef(cmd, "--hard-timeout %v: want 0 (the cluster's) or more", t.hard)
	}
	if values == nil {
		values = map[string]any{}
	}
	values["hardTimeout"] = config.Duration(t.hard)
	return values, nil
}

// nothingToSet is the error of set without a flag.
func nothingToSet(cmd *cobra.Command) error {
	return usageOf(cmd, fmt.Errorf("what is to be set? Name at least one flag, as in the example"))
}
